-- Renew or release a lease that is still the owner's; another's is not changed. A release is published.
--
-- KEYS    lease
-- ARGV    owner, proof that the owner holds it now ('': release), lease in ms, channel, message
-- answers 1 if it was the owner's, else 0
local lease = redis.call('GET', KEYS[1])
if not lease or string.sub(lease, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then return 0 end
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
  return 1
end
redis.call('DEL', KEYS[1])
-- Must succeed even if the store's ACL forbids publishing.
redis.pcall('PUBLISH', ARGV[4], ARGV[5])
return 1
