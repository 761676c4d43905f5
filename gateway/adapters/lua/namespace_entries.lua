-- The entries of a namespace: sealed entries by cache key, and the order in which they were recorded.
--
-- Besides the entries, the hash has the fields 'open' (the namespace exists), 'frozen' (the time since when nothing is
-- added), 'bytes' (of all entries) and 'last_number' (of the latest entry). The numbers of entries are their scores in
-- the sorted set, so a page costs the same however many entries there are.
--
-- KEYS    the hash, the sorted set
-- ARGV    'open' | 'freeze', time | 'put', cache key, entry, maximum bytes | 'move', cache key, another one, entry |
--         'remove', cache key | 'empty' | 'drop'
-- answers for put {'stored'}, {'exists', entry}, or {'refused', reason}; for freeze the time since when, or nothing if
--         there is no such namespace; for open, move and remove 1 if it was done; for empty and drop the number of entries,
--         -1 if it is frozen (empty) or there is none
local hash, order, action = KEYS[1], KEYS[2], ARGV[1]
if action == 'open' then return redis.call('HSETNX', hash, 'open', '1') end
local open = redis.call('HEXISTS', hash, 'open') == 1
local frozen = redis.call('HGET', hash, 'frozen')
if action == 'put' then
  if not open then return { 'refused', 'gone' } end
  local existing = redis.call('HGET', hash, ARGV[2])
  if existing then return { 'exists', existing } end
  if frozen then return { 'refused', 'frozen' } end
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
  local length = redis.call('HSTRLEN', hash, ARGV[2])
  if redis.call('ZREM', order, ARGV[2]) == 0 then return 0 end
  redis.call('HINCRBY', hash, 'bytes', -length)
  return redis.call('HDEL', hash, ARGV[2])
end
-- empty, drop: UNLINK frees the memory in the background, however much it is
if not open or (action == 'empty' and frozen) then return -1 end
local entries = redis.call('ZCARD', order)
redis.call('UNLINK', hash, order)
if action == 'empty' then redis.call('HSET', hash, 'open', '1') end
return entries
