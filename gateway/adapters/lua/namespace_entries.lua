-- The entries of a namespace: sealed entries by cache key, and the order in which they were recorded.
--
-- Besides the entries, the hash has the fields 'open' (the namespace exists), 'frozen' (the time since when nothing is
-- added), 'bytes' (of all entries) and 'last_number' (of the latest entry). The numbers of entries are their scores in
-- the sorted set, so a page costs the same however many entries there are.
--
-- Calls under way during a purge or a drop bring nothing back: until `flight` ms later, the time of it is kept, and an
-- answer whose call was sent before is refused.
--
-- KEYS    the hash, the sorted set, the time of the last purge or drop, the time when this cache key was removed
-- ARGV    'open' | 'freeze', time | 'put', cache key, entry, maximum bytes, when its call was sent ('': long ago, and kept)
--         | 'move', cache key, another one, entry | 'remove', cache key, flight | 'empty', flight | 'drop', flight
-- answers for put {'stored'}, {'exists', entry}, or {'refused', reason}; for freeze the time since when, or nothing if
--         there is no such namespace; for open, move and remove 1 if it was done; for empty and drop the number of entries,
--         -1 if it is frozen (empty) or there is none
local hash, order, action = KEYS[1], KEYS[2], ARGV[1]
if action == 'open' then return redis.call('HSETNX', hash, 'open', '1') end
local function mark(key, flight)
  local time = redis.call('TIME')
  redis.call('SET', key, string.format('%.6f', time[1] + time[2] / 1000000), 'PX', flight)
end
local open = redis.call('HEXISTS', hash, 'open') == 1
local frozen = redis.call('HGET', hash, 'frozen')
if action == 'put' then
  if not open then return { 'refused', 'gone' } end
  local existing = redis.call('HGET', hash, ARGV[2])
  if existing then return { 'exists', existing } end
  if frozen then return { 'refused', 'frozen' } end
  if ARGV[5] ~= '' then
    for i = 3, 4 do
      local purged = redis.call('GET', KEYS[i])
      if purged and tonumber(ARGV[5]) <= tonumber(purged) then return { 'refused', 'purged' } end
    end
  end
  local bytes = tonumber(redis.call('HGET', hash, 'bytes') or '0')
  if bytes + #ARGV[3] > tonumber(ARGV[4]) then return { 'refused', 'full' } end
  redis.call('HSET', hash, ARGV[2], ARGV[3])
  redis.call('HINCRBY', hash, 'bytes', #ARGV[3])
  redis.call('ZADD', order, redis.call('HINCRBY', hash, 'last_number', 1), ARGV[2])
  return { 'stored' }
end
if action == 'freeze' then
  if open and not frozen then redis.call('HSET', hash, 'frozen', ARGV[2]) end
  return open and (frozen or ARGV[2])
end
if action == 'move' then
  local number = redis.call('ZSCORE', order, ARGV[2])
  if not number or redis.call('HEXISTS', hash, ARGV[3]) == 1 then return 0 end
  redis.call('HINCRBY', hash, 'bytes', #ARGV[4] - redis.call('HSTRLEN', hash, ARGV[2]))
  redis.call('HDEL', hash, ARGV[2])
  redis.call('ZREM', order, ARGV[2])
  redis.call('HSET', hash, ARGV[3], ARGV[4])
  redis.call('ZADD', order, number, ARGV[3])
  return 1
end
if action == 'remove' then
  mark(KEYS[4], ARGV[3])
  local length = redis.call('HSTRLEN', hash, ARGV[2])
  if redis.call('ZREM', order, ARGV[2]) == 0 then return 0 end
  redis.call('HINCRBY', hash, 'bytes', -length)
  return redis.call('HDEL', hash, ARGV[2])
end
-- empty, drop: UNLINK frees the memory in the background, however much it is
if not open or (action == 'empty' and frozen) then return -1 end
mark(KEYS[3], ARGV[2])
local entries = redis.call('ZCARD', order)
redis.call('UNLINK', hash, order)
if action == 'empty' then redis.call('HSET', hash, 'open', '1') end
return entries
