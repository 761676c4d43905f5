-- Give back requests that were charged in advance and not used.
--
-- KEYS    one per limit, all with the same hash tag
-- ARGV    now in ms ('' takes the server's clock), how many, then per limit: interval in us
local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
else
  now = ARGV[1] * 1000
end

local stored = redis.call('MGET', unpack(KEYS))
for i = 1, #KEYS do
  local us = tonumber(stored[i] or '0') - now - ARGV[2] * ARGV[i + 2]
  if us > 0 then
    redis.call('SET', KEYS[i], string.format('%.0f', now + us), 'PX', math.ceil(us / 1000) + 1)
  elseif stored[i] then
    redis.call('DEL', KEYS[i])
  end
end
return 1
