-- End a flight: store its answer, end its lease, and hand the answer to who waits for it.
--
-- Whoever lost the lease comes late (his process was stopped, say), and what his successor has stored is kept.
--
-- KEYS    entry, lease (same hash tag)
-- ARGV    owner, answer, ms to keep it, 1 or 0: whether an entry that stands is kept, channel, bytes that a message holds
-- answers the entry that stood and was kept, or nothing
local ours = redis.call('GET', KEYS[2]) == ARGV[1]
local standing = false
if ours and ARGV[4] == '0' then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
else
  standing = redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3], 'NX', 'GET')
end
-- Over an entry that stands the lease is kept: it may be one that will not do, and the owner replaces it next.
if ours and not standing then redis.call('DEL', KEYS[2]) end
local told = ARGV[2]
if standing or #told > tonumber(ARGV[6]) then told = '' end
-- A user of the store who may not publish must be able to store all the same.
redis.pcall('PUBLISH', ARGV[5], told)
return standing
