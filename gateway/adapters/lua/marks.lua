-- The marks that purges leave, a hash of numbers; what is asked for is done first.
--
-- The epoch starts at the time in ms and not at 0: where a cache server evicts or loses the marks, the epoch made in
-- their place is larger than any before, and entries purged long ago stay out of reach.
--
-- KEYS    marks
-- ARGV    '' | 'touch' | 'hard' | 'soft' | 'age'; model ('' for all); seconds of age, for 'age'
-- answers the fields with their values, in turns
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local act, model = ARGV[1], ARGV[2]
local function number(value) return string.format('%.3f', value) end
if redis.call('HSETNX', KEYS[1], 'epoch', string.format('%.0f', now * 1000)) == 1 then
  redis.call('HSET', KEYS[1], 'serial', string.format('%.0f', now * 1000))
end
if act ~= '' then redis.call('HINCRBY', KEYS[1], 'serial', 1) end
if act == 'hard' and model == '' then
  local held = tonumber(redis.call('HGET', KEYS[1], 'epoch'))
  redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', math.max(held + 1, now * 1000)))
elseif act == 'hard' then
  redis.call('HINCRBY', KEYS[1], 'model ' .. model, 1)
elseif act == 'soft' then
  redis.call('HSET', KEYS[1], 'stale ' .. model, number(now))
elseif act == 'age' then
  local held = tonumber(redis.call('HGET', KEYS[1], 'floor') or '0')
  redis.call('HSET', KEYS[1], 'floor', number(math.max(held, now - tonumber(ARGV[3]))))
end
return redis.call('HGETALL', KEYS[1])
