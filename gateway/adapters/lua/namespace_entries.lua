-- What a namespace holds: sealed entries by address, and the order in which they were recorded.
--
-- In the hash stand, beside the entries, 'open' (since there is such a namespace), 'frozen' (since when nothing is
-- added), 'bytes' (of all entries) and 'last' (the number of the latest entry). The entries' numbers are the scores of
-- the sorted set, so that a page of addresses costs the same however many there are.
--
-- KEYS    the hash, the sorted set
-- ARGV    'open' | 'freeze', time | 'put', address, entry, most bytes | 'remove', address | 'empty' | 'drop'
-- answers for put {'kept'}, {'stands', entry}, or {'no', why}; for freeze the time since when, or nothing where there
--         is no such namespace; for open and remove 1 where it was done; for empty and drop the number of entries, -1
--         where it is frozen (empty) or there is none
local hash, order, act = KEYS[1], KEYS[2], ARGV[1]
if act == 'open' then return redis.call('HSETNX', hash, 'open', '1') end
local open = redis.call('HEXISTS', hash, 'open') == 1
local frozen = redis.call('HGET', hash, 'frozen')
if act == 'put' then
  if not open then return { 'no', 'gone' } end
  local standing = redis.call('HGET', hash, ARGV[2])
  if standing then return { 'stands', standing } end
  if frozen then return { 'no', 'frozen' } end
  local held = tonumber(redis.call('HGET', hash, 'bytes') or '0')
  if held + #ARGV[3] > tonumber(ARGV[4]) then return { 'no', 'full' } end
  redis.call('HSET', hash, ARGV[2], ARGV[3])
  redis.call('HINCRBY', hash, 'bytes', #ARGV[3])
  redis.call('ZADD', order, redis.call('HINCRBY', hash, 'last', 1), ARGV[2])
  return { 'kept' }
end
if act == 'freeze' then
  if open and not frozen then redis.call('HSET', hash, 'frozen', ARGV[2]) end
  return open and (frozen or ARGV[2])
end
if act == 'remove' then
  local length = redis.call('HSTRLEN', hash, ARGV[2])
  if redis.call('ZREM', order, ARGV[2]) == 0 then return 0 end
  redis.call('HINCRBY', hash, 'bytes', -length)
  return redis.call('HDEL', hash, ARGV[2])
end
-- empty, drop: what is unlinked is freed beside the server's work, however much it is
if not open or (act == 'empty' and frozen) then return -1 end
local entries = redis.call('ZCARD', order)
redis.call('UNLINK', hash, order)
if act == 'empty' then redis.call('HSET', hash, 'open', '1') end
return entries
