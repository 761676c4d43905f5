-- End a reservation's leases and charge what it really cost, once per reservation id.
--
-- KEYS    the reservation's record, then one per limit, all with the same hash tag
-- ARGV    id, units, TTL of the settled record in ms, then per limit: kind ('c' or 'u')
-- answers 1 if this settled it, 0 if it was settled before, 2 if there was nothing to settle
--
-- Where nothing was reserved yet, the settled record refuses a reserve that comes late. What is damaged is an error, and
-- nothing is changed.
local record = redis.call('GET', KEYS[1])
if record == 's' then return 0 end
if not record then
  redis.call('SET', KEYS[1], 's', 'PX', ARGV[3])
  return 2
end

local reserved, periods = string.match(record, '^o:(%d+)([:%d]*)$')
if not reserved then error('a damaged record') end
local charged, next_period = {}, string.gmatch(periods, '%d+')
for i = 1, #KEYS - 1 do
  if ARGV[i + 3] == 'u' then
    local period = next_period()
    local stored = redis.call('GET', KEYS[i + 1])
    local counted, sum = string.match(stored or '0:0', '^(%d+):(%d+)$')
    if not period or not counted or #sum > 15 then error('a damaged counter') end
    -- The sum of a later period is not this reservation's: what it used yesterday stays yesterday's. That of an earlier
    -- one is, because the clock was set back since.
    if stored and tonumber(counted) <= tonumber(period) then
      charged[i] = string.format('%s:%.0f', counted, math.max(0, sum + ARGV[2] - reserved))
    end
  end
end

for i = 1, #KEYS - 1 do
  if ARGV[i + 3] == 'c' then redis.call('ZREM', KEYS[i + 1], ARGV[1]) end
end
for i = 1, #KEYS - 1 do
  if charged[i] then redis.call('SET', KEYS[i + 1], charged[i], 'KEEPTTL') end
end
redis.call('SET', KEYS[1], 's', 'PX', ARGV[3])
return 1
