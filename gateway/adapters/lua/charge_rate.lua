-- One request of rate on every limit, or on none of them (GCRA: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm).
-- Each key holds a theoretical arrival time in microseconds, and expires by TTL once that has passed.
--
-- A time further ahead than the whole burst was written before the clock was set back: it counts as a burst that has
-- just been used up, and is written down as such. A damaged one is an error, since nobody knows what was used.
--
-- KEYS    one per limit, all with the same hash tag
-- ARGV    now in ms ('' takes the server's clock), requests wanted in advance, then per limit: interval in us, burst
-- answers index of the first limit that refuses (0: none), us to wait, requests charged, now in us,
--         then per limit: left, us until full
local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
else
  now = ARGV[1] * 1000
end

local function arrival(text)
  if not text then return now end
  -- 16 digits: from the year 2001 to 2286.
  if #text ~= 16 or string.find(text, '%D') then error('a damaged arrival time') end
  return tonumber(text)
end

local ahead, interval, burst, set_back = {}, {}, {}, {}
local refused, wait, advance = 0, 0, tonumber(ARGV[2])
for i = 1, #KEYS do
  interval[i], burst[i] = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  ahead[i] = math.max(0, arrival(redis.call('GET', KEYS[i])) - now)
  set_back[i] = ahead[i] > burst[i] * interval[i]
  if set_back[i] then ahead[i] = burst[i] * interval[i] end
  local over = ahead[i] + interval[i] - burst[i] * interval[i]
  if over > 0 then
    if refused == 0 then refused = i end
    wait = math.max(wait, over)
  end
  -- In advance at most a sixteenth of what is left above half of the burst: other workers share the limit.
  local free = burst[i] - 1 - math.ceil(ahead[i] / interval[i])
  advance = math.min(advance, math.floor((free - burst[i] / 2) / 16))
end

local charged = refused == 0 and 1 + math.max(0, advance) or 0
local answer = { refused, wait, charged, now }
for i = 1, #KEYS do
  local us = ahead[i] + charged * interval[i]
  if charged > 0 or set_back[i] then
    redis.call('SET', KEYS[i], string.format('%.0f', now + us), 'PX', math.ceil(us / 1000) + 1)
  end
  answer[2 * i + 3] = math.max(0, burst[i] - math.ceil(us / interval[i]))
  answer[2 * i + 4] = us
end
return answer
