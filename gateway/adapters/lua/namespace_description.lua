-- The descriptions of namespaces, a hash by name.
--
-- KEYS    descriptions
-- ARGV    'create', name, description, maximum number | 'update', name, description
-- answers 1 if it was written; 0 if the name is taken ('create') or unknown ('update'); -1 if there are too many
local known = redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1
if known ~= (ARGV[1] == 'update') then return 0 end
if not known and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return -1 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1
