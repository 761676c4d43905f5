-- Delete an entry with the lease of the flight that computed it, and write that down among the changes.
--
-- KEYS    entry, lease, changes (same hash tag)
-- ARGV    cache key, maximum changes
-- answers 1
redis.call('UNLINK', KEYS[1], KEYS[2])
if redis.call('TYPE', KEYS[3]).ok ~= 'stream' then redis.call('DEL', KEYS[3]) end
redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[2], '*', 'key', ARGV[1])
return 1
