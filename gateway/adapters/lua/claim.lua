-- Take the lease of a flight, unless the entry is there already or somebody else holds the lease.
--
-- KEYS    entry, lease (same hash tag)
-- ARGV    owner, lease in ms, SHA-1 of an entry that will not do ('': any will)
-- answers 1 or 0: whether the lease is the owner's now; the ms that it has left; and the entry if there is one
local entry = redis.call('GET', KEYS[1])
if entry and (ARGV[3] == '' or redis.sha1hex(entry) ~= ARGV[3]) then return { 0, 0, entry } end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return { 1, tonumber(ARGV[2]) } end
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  return { 1, tonumber(ARGV[2]) }
end
return { 0, redis.call('PTTL', KEYS[2]) }
