-- Set fields of a hash, and increment the directory's epoch: everybody then looks again.
--
-- KEYS    hash, epoch (same hash tag)
-- ARGV    field, value, field, value, ...
-- answers how many of the fields were not there before
local added = 0
for i = 1, #ARGV, 2 do added = added + redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('INCR', KEYS[2])
return added
