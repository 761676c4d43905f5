-- The sealed state of purges: read it, or replace the one that was read.
--
-- KEYS    the state
-- ARGV    'read' | 'swap', the state that is expected ('': none, or a value of another kind), the new one
-- answers for read the server's time in s and us, and the state ('' for none, '?' for a value of another kind);
--         for swap 1, or 0 where another state is there (then nothing is changed)
local kind = redis.call('TYPE', KEYS[1]).ok
local state = ''
if kind == 'string' then state = redis.call('GET', KEYS[1]) elseif kind ~= 'none' then state = '?' end
if ARGV[1] == 'read' then
  local time = redis.call('TIME')
  return { tonumber(time[1]), tonumber(time[2]), state }
end
if state ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
return 1
