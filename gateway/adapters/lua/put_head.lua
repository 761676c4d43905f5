-- Keep the head of an audit chain, unless a later one is kept already.
--
-- KEYS    heads (a hash: chain -> '<sequence number>:<sealed head>')
-- ARGV    chain, sequence number, sealed head
-- answers 1 if it is kept now, 0 if a later one stays
local kept = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+):')
if kept and tonumber(kept) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. ARGV[3])
return 1
