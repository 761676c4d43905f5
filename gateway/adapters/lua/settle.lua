-- End a reservation's leases and charge what it really cost, once per reservation id.
--
-- KEYS    the reservation's record, then one per limit, all with the same hash tag
-- ARGV    id, units, TTL of the settled record in ms, then per limit: kind ('c' or 'u')
-- answers 1 if this settled it, 0 if it was settled before, 2 if there was nothing to settle
--
-- Where nothing was reserved yet, the settled record refuses a reserve that comes late.
local record = redis.call('GET', KEYS[1])
if record == 's' then return 0 end
redis.call('SET', KEYS[1], 's', 'PX', ARGV[3])
if not record then return 2 end

local reserved, day = string.match(record, '^o:(%d+):(%d+)$')
for i = 1, #KEYS - 1 do
  local key = KEYS[i + 1]
  if ARGV[i + 3] == 'c' then
    redis.call('ZREM', key, ARGV[1])
  else
    -- Another day's sum is not this reservation's: what it used yesterday stays yesterday's.
    local stored, sum = string.match(redis.call('GET', key) or '', '^(%d+):(%d+)$')
    if stored == day then
      local used = math.max(0, sum + ARGV[2] - reserved)
      redis.call('SET', key, string.format('%s:%.0f', day, used), 'KEEPTTL')
    end
  end
end
return 1
