-- Give back requests that were charged in advance and not used, as far as they have not become free by themselves.
--
-- Of a limit that nobody used since, all time but the interval of the one request that was charged with them counts.
-- Where the clock was set back since, that time is unknown, and nothing is given back.
--
-- KEYS    one per limit, all with the same hash tag
-- ARGV    now in ms ('' takes the server's clock), how many, when they were charged in us, then per limit: interval in us
local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
else
  now = ARGV[1] * 1000
end
local passed = now - ARGV[3]
if passed < 0 then return 0 end

local stored = {}
for i = 1, #KEYS do
  stored[i] = redis.call('GET', KEYS[i])
  if stored[i] and (#stored[i] ~= 16 or string.find(stored[i], '%D')) then error('a damaged arrival time') end
end
for i = 1, #KEYS do
  local interval = tonumber(ARGV[i + 3])
  local back = ARGV[2] * interval - math.max(0, passed - interval)
  local us = (stored[i] or now) - now - math.max(0, back)
  if us > 0 then
    redis.call('SET', KEYS[i], string.format('%.0f', now + us), 'PX', math.ceil(us / 1000) + 1)
  elseif stored[i] then
    redis.call('DEL', KEYS[i])
  end
end
return 1
