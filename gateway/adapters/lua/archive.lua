-- What a namespace holds: one hash of sealed entries by address, its own description under 'meta', its size under 'bytes'.
--
-- KEYS    the namespace
-- ARGV    'create', meta | 'freeze', time | 'put', address, entry, most bytes | 'remove', address
-- answers for put {'kept'}, {'stands', entry}, or {'no', why}; for the others 1 where it was done, else 0
local act = ARGV[1]
if act == 'create' then return redis.call('HSETNX', KEYS[1], 'meta', ARGV[2]) end
local meta = redis.call('HGET', KEYS[1], 'meta')
if act == 'put' then
  if not meta then return { 'no', 'gone' } end
  local standing = redis.call('HGET', KEYS[1], ARGV[2])
  if standing then return { 'stands', standing } end
  if redis.call('HEXISTS', KEYS[1], 'frozen') == 1 then return { 'no', 'frozen' } end
  local held = tonumber(redis.call('HGET', KEYS[1], 'bytes') or '0')
  if held + #ARGV[3] > tonumber(ARGV[4]) then return { 'no', 'full' } end
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
  redis.call('HINCRBY', KEYS[1], 'bytes', #ARGV[3])
  return { 'kept' }
end
if not meta then return 0 end
if act == 'freeze' then
  redis.call('HSETNX', KEYS[1], 'frozen', ARGV[2])
  return 1
end
local standing = redis.call('HGET', KEYS[1], ARGV[2])
if not standing then return 0 end
redis.call('HINCRBY', KEYS[1], 'bytes', -#standing)
return redis.call('HDEL', KEYS[1], ARGV[2])
