-- End a flight: store its answer, release its lease, and publish the answer to those who wait for it.
--
-- An owner that lost the lease (its process was stopped, say) does not replace what its successor has stored.
--
-- KEYS    entry, lease (same hash tag)
-- ARGV    owner, answer, TTL in ms, 1 or 0: whether the first write wins, channel, maximum bytes of a message
-- answers the entry that was there and was not replaced, or nothing
local ours = redis.call('GET', KEYS[2]) == ARGV[1]
local existing = false
if ours and ARGV[4] == '0' then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
else
  existing = redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3], 'NX', 'GET')
end
-- With an existing entry the lease is not released: the owner may find it invalid, and replaces it next.
if ours and not existing then redis.call('DEL', KEYS[2]) end
local message = ARGV[2]
if existing or #message > tonumber(ARGV[6]) then message = '' end
-- Must succeed even if the store's ACL forbids publishing.
redis.pcall('PUBLISH', ARGV[5], message)
return existing
