-- What was purged, a hash of numbers; an action is carried out first. No number ever decreases.
--
-- The epoch starts at the time in microseconds and not at 0: if the cache store evicts or loses this hash, the new epoch
-- is larger than any before, and entries purged long ago cannot be found again.
--
-- KEYS    the hash
-- ARGV    '' | 'touch' | 'purge' | 'mark_stale' | 'purge_older'; model ('' for all); age in s ('mark_stale', 'purge_older')
-- answers the fields and their values, alternating
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local micros = time[1] * 1000000 + time[2]
local action, model = ARGV[1], ARGV[2]
local function advance(field, moment)
  local before = tonumber(redis.call('HGET', KEYS[1], field) or '0')
  redis.call('HSET', KEYS[1], field, string.format('%.3f', math.max(before, moment)))
end
if redis.call('HSETNX', KEYS[1], 'epoch', string.format('%.0f', micros)) == 1 then
  redis.call('HSET', KEYS[1], 'serial', string.format('%.0f', micros))
end
if action ~= '' then redis.call('HINCRBY', KEYS[1], 'serial', 1) end
if action == 'purge' and model == '' then
  local before = tonumber(redis.call('HGET', KEYS[1], 'epoch'))
  redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', math.max(before + 1, micros)))
elseif action == 'purge' then
  redis.call('HINCRBY', KEYS[1], 'model ' .. model, 1)
elseif action == 'mark_stale' then
  advance('stale ' .. model, now - tonumber(ARGV[3]))
elseif action == 'purge_older' then
  advance('purged_before', now - tonumber(ARGV[3]))
end
return redis.call('HGETALL', KEYS[1])
