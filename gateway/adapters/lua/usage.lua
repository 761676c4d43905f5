-- What limits have counted so far. Changes nothing. A damaged counter is an error.
--
-- KEYS    one per limit, all with the same hash tag
-- ARGV    now in ms ('' takes the server's clock), then per limit: kind ('r', 'c' or 'u'),
--         interval in us (r) or window in ms (c, u), burst (r) or amount (c, u)
-- answers per limit: requests left of the burst, leases in use, or units used in the present period
local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
else
  now = tonumber(ARGV[1])
end

local answer = {}
for i = 1, #KEYS do
  local kind, pace, size = ARGV[3 * i - 1], tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  if kind == 'c' then
    answer[i] = redis.call('ZCOUNT', KEYS[i], '(' .. string.format('%.3f', now), '+inf')
  elseif kind == 'r' then
    local stored = redis.call('GET', KEYS[i])
    if stored and (#stored ~= 16 or string.find(stored, '%D')) then error('a damaged arrival time') end
    local ahead = math.max(0, (stored or 0) - now * 1000)
    answer[i] = math.max(0, size - math.ceil(ahead / pace))
  else
    local stored = redis.call('GET', KEYS[i])
    local period, used = string.match(stored or '0:0', '^(%d+):(%d+)$')
    if not period or #used > 15 then error('a damaged counter') end
    -- A later period was counted before the clock was set back: it counts as the present one (reserve.lua).
    answer[i] = tonumber(period) >= math.floor(now / pace) and tonumber(used) or 0
  end
end
return answer
