-- Which entries have changed since a worker last asked, in one or more streams of changes.
--
-- The change that was read last must still be there: where it is not (it was pushed out, or the store lost it), some may
-- have been missed. So a stream never becomes empty: the first to ask writes a change of no entry into it.
--
-- KEYS    streams
-- ARGV    per stream: the id of the change that was read last, or '-'
-- answers per stream: the id of the latest change; 1 or 0: whether some may have been missed; the cache keys since
local answer = {}
for i = 1, #KEYS do
  if redis.call('TYPE', KEYS[i]).ok ~= 'stream' then redis.call('DEL', KEYS[i]) end
  local rows = redis.call('XRANGE', KEYS[i], ARGV[i], '+')
  if ARGV[i] ~= '-' and rows[1] and rows[1][1] == ARGV[i] then
    local keys = {}
    for j = 2, #rows do keys[j - 1] = rows[j][2][2] or '' end
    answer[i] = { rows[#rows][1], 0, keys }
  else
    local latest = redis.call('XREVRANGE', KEYS[i], '+', '-', 'COUNT', 1)[1]
    answer[i] = { latest and latest[1] or redis.call('XADD', KEYS[i], '*', 'key', ''), 1, {} }
  end
end
return answer
