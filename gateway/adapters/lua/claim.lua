-- Take the lease of a flight, unless there is an entry already or another process holds the lease.
--
-- KEYS    entry, lease (same hash tag)
-- ARGV    owner, lease in ms, SHA-1 of an entry that counts as absent ('': none does)
-- answers 1 or 0: whether the owner has the lease now; ms until it expires; the entry if there is one
local entry = redis.call('GET', KEYS[1])
if entry and (ARGV[3] == '' or redis.sha1hex(entry) ~= ARGV[3]) then return { 0, 0, entry } end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return { 1, tonumber(ARGV[2]) } end
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  return { 1, tonumber(ARGV[2]) }
end
return { 0, redis.call('PTTL', KEYS[2]) }
