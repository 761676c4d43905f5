-- Renew or release a lease that is still the owner's; another's is left alone. A release is told to who waits for it.
--
-- KEYS    lease
-- ARGV    owner, lease in ms (0: release), channel
-- answers 1 if it was the owner's, else 0
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] ~= '0' then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
redis.call('DEL', KEYS[1])
-- A user of the store who may not publish must be able to release all the same.
redis.pcall('PUBLISH', ARGV[3], '')
return 1
