-- A lease on every concurrency limit and units on every unit limit, or nothing at all, once per reservation id.
--
-- KEYS    the reservation's record, then one per limit, all with the same hash tag
-- ARGV    now in ms ('' takes the server's clock), id, units, lease in ms, TTL of the record in ms,
--         then per limit: kind ('c' or 'u'), amount, window in ms
-- answers index of the first limit that refuses (0: none), ms to wait, then per limit: left, ms until full
--
-- A record is 'o:<units>' while open, with ':<period>' for each unit limit in the order of KEYS, and 's' once settled.
-- A concurrency limit is a sorted set of ids by the ms at which their lease ends; a unit limit is '<period>:<used>',
-- where a period is the number of windows since 1970. A later period than the present one was counted before the clock
-- was set back: it counts as the present one. What is damaged is an error, since nobody knows what was used.
local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
else
  now = tonumber(ARGV[1])
end
local id, units, lease, ttl = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local kind, amount, window, wait, used, period = {}, {}, {}, {}, {}, {}
local opened = string.format('o:%.0f', units)
for i = 1, #KEYS - 1 do
  kind[i], amount[i], window[i] = ARGV[3 * i + 3], tonumber(ARGV[3 * i + 4]), tonumber(ARGV[3 * i + 5])
  if kind[i] == 'c' then
    redis.call('ZREMRANGEBYSCORE', KEYS[i + 1], '-inf', now)
    used[i] = redis.call('ZCARD', KEYS[i + 1])
    -- A lease ends when its call does, which is unknown: the window is used instead.
    wait[i] = window[i]
  else
    period[i] = math.floor(now / window[i])
    local counted, sum = string.match(redis.call('GET', KEYS[i + 1]) or '0:0', '^(%d+):(%d+)$')
    if not counted or #sum > 15 then error('a damaged counter') end
    used[i] = tonumber(counted) >= period[i] and tonumber(sum) or 0
    if tonumber(counted) > period[i] then
      -- At once, even if nothing is reserved now: or the sum would stand until that later period ends.
      redis.call('SET', KEYS[i + 1], string.format('%.0f:%.0f', period[i], used[i]), 'PX', 2 * window[i])
    end
    wait[i] = window[i] - now % window[i]
    opened = opened .. string.format(':%.0f', period[i])
  end
end

local record = redis.call('GET', KEYS[1])
if record and record ~= 's' and not string.find(record, '^o:%d+[:%d]*$') then error('a damaged record') end
local refused, longest = 0, 0
if record == 's' then
  refused = 1
elseif not record then
  for i = 1, #kind do
    if used[i] + (kind[i] == 'c' and 1 or units) > amount[i] then
      if refused == 0 then refused = i end
      longest = math.max(longest, wait[i])
    end
  end
  if refused == 0 then
    redis.call('SET', KEYS[1], opened, 'PX', ttl)
    for i = 1, #kind do
      local key = KEYS[i + 1]
      if kind[i] == 'c' then
        redis.call('ZADD', key, now + lease, id)
        if redis.call('PTTL', key) < lease then redis.call('PEXPIRE', key, lease) end
        used[i] = used[i] + 1
      else
        used[i] = used[i] + units
        redis.call('SET', key, string.format('%.0f:%.0f', period[i], used[i]), 'PX', 2 * window[i])
      end
    end
  end
end

local answer = { refused, longest }
for i = 1, #kind do
  answer[2 * i + 1] = math.max(0, amount[i] - used[i])
  answer[2 * i + 2] = used[i] > 0 and wait[i] or 0
end
return answer
