-- The marks that purges leave, a hash of numbers; what is asked for is done first. No number ever becomes smaller.
--
-- The epoch starts at the time in microseconds and not at 0: where a cache server evicts or loses the marks, the epoch made in
-- their place is larger than any before, and entries purged long ago stay out of reach.
--
-- KEYS    marks
-- ARGV    '' | 'touch' | 'hard' | 'soft' | 'gone'; model ('' for all); seconds of age (for 'soft' and 'gone')
-- answers the fields with their values, in turns
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local micros = time[1] * 1000000 + time[2]
local act, model = ARGV[1], ARGV[2]
local function later(field, moment)
  local held = tonumber(redis.call('HGET', KEYS[1], field) or '0')
  redis.call('HSET', KEYS[1], field, string.format('%.3f', math.max(held, moment)))
end
if redis.call('HSETNX', KEYS[1], 'epoch', string.format('%.0f', micros)) == 1 then
  redis.call('HSET', KEYS[1], 'serial', string.format('%.0f', micros))
end
if act ~= '' then redis.call('HINCRBY', KEYS[1], 'serial', 1) end
if act == 'hard' and model == '' then
  local held = tonumber(redis.call('HGET', KEYS[1], 'epoch'))
  redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', math.max(held + 1, micros)))
elseif act == 'hard' then
  redis.call('HINCRBY', KEYS[1], 'model ' .. model, 1)
elseif act == 'soft' then
  later('stale ' .. model, now - tonumber(ARGV[3]))
elseif act == 'gone' then
  later('floor', now - tonumber(ARGV[3]))
end
return redis.call('HGETALL', KEYS[1])
