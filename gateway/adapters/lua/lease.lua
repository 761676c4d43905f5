-- Renew or release a lease that is still the owner's; another's is not changed. A release is published.
--
-- KEYS    lease
-- ARGV    owner, lease in ms (0: release), channel, message
-- answers 1 if it was the owner's, else 0
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] ~= '0' then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
redis.call('DEL', KEYS[1])
-- Must succeed even if the store's ACL forbids publishing.
redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return 1
