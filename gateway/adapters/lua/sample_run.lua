-- Which sample a repeat of a call gets within a run: the smallest number that no repeat has.
--
-- A user's counters are in two hashes. When the young one is full or old enough it becomes the old one, and what was in
-- that is forgotten; a counter that is used moves into the young one. So the counters of a user are bounded in number,
-- and those in use stay. A counter is '<highest number>' or '<highest number>:<numbers given back, sorted>'.
--
-- KEYS    the young hash, the old hash (one hash tag)
-- ARGV    'next', now in s ('' takes the server's clock), counter, highest number, most counters, age in s, ttl in s
--         'back', now,                                    counter, number
-- answers next: the number, 0 if all are taken; back: 1 if it was taken
local young, old, field = KEYS[1], KEYS[2], ARGV[3]
local place, held = young, redis.call('HGET', young, field)
if not held then place, held = old, redis.call('HGET', old, field) end
local highest, list = 0, ''
if held then
  local digits, rest = string.match(held, '^(%d+)(.*)$')
  if not digits or not (rest == '' or string.match(rest, '^:%d[%d,]*$')) then
    return redis.error_reply('a counter that was not written here')
  end
  highest, list = tonumber(digits), string.sub(rest, 2)
end
local free = {}
for number in string.gmatch(list, '%d+') do free[#free + 1] = tonumber(number) end

if ARGV[1] == 'back' then
  local number = tonumber(ARGV[4])
  if number > highest then return 0 end
  for _, each in ipairs(free) do
    if each == number then return 0 end
  end
  free[#free + 1] = number
  table.sort(free)
  redis.call('HSET', place, field, highest .. ':' .. table.concat(free, ','))
  return 1
end

local number
if #free > 0 then
  number = table.remove(free, 1)
else
  if highest >= tonumber(ARGV[4]) then return 0 end
  highest = highest + 1
  number = highest
end
local now = tonumber(ARGV[2]) or tonumber(redis.call('TIME')[1])
local began = tonumber(redis.call('HGET', young, 'began') or '')
if began and (now - began >= tonumber(ARGV[6]) or redis.call('HLEN', young) > tonumber(ARGV[5])) then
  redis.call('RENAME', young, old)
  place, began = old, nil
end
if not began then redis.call('HSET', young, 'began', string.format('%.0f', now)) end
if place == old then redis.call('HDEL', old, field) end
redis.call('HSET', young, field, #free > 0 and highest .. ':' .. table.concat(free, ',') or highest)
redis.call('EXPIRE', young, ARGV[7])
return number
