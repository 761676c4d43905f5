-- Store the head of an audit chain, unless a later one is stored already.
--
-- KEYS    heads (a hash: chain -> '<sequence number>:<sealed head>')
-- ARGV    chain, sequence number, sealed head
-- answers 1 if it was stored, 0 if a later one is there
local stored = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+):')
if stored and tonumber(stored) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. ARGV[3])
return 1
