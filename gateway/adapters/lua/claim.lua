-- Take the lease of a flight, unless there is an entry already or another process holds the lease.
--
-- KEYS    entry, lease (same hash tag)
-- ARGV    owner, proof that the owner holds it now, lease in ms, SHA-1 of an entry that counts as absent ('': none
--         does), lease of another owner that counts as absent ('': none does)
-- answers 1 or 0: whether the owner has the lease now; ms until it expires; the entry, if there is one; the lease, if
--         another owner has it
local entry = redis.call('GET', KEYS[1])
if entry and (ARGV[4] == '' or redis.sha1hex(entry) ~= ARGV[4]) then return { 0, 0, entry } end
local lease = redis.call('GET', KEYS[2])
local ours = lease and string.sub(lease, 1, #ARGV[1] + 1) == ARGV[1] .. ' '
if not lease or ours or lease == ARGV[5] then
  redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
  return { 1, tonumber(ARGV[3]) }
end
return { 0, redis.call('PTTL', KEYS[2]), '', lease }
