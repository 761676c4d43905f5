-- Take the lease of a flight, unless the entry is there already or somebody else holds the lease.
--
-- KEYS    entry, lease (same hash tag)
-- ARGV    owner, lease in ms
-- answers 1 or 0: whether the lease is the owner's now; and the entry if there is one
local entry = redis.call('GET', KEYS[1])
if entry then return { 0, entry } end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return { 1 } end
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  return { 1 }
end
return { 0 }
