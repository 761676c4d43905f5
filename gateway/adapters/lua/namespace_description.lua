-- The descriptions of namespaces, a hash by name; there are never more of them than a few.
--
-- KEYS    descriptions
-- ARGV    'new', name, description, most | 'again', name, description
-- answers 1 where it was written; 0 where the name is taken ('new') or unknown ('again'), -1 where there are too many
local known = redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1
if known ~= (ARGV[1] == 'again') then return 0 end
if not known and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return -1 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1
