-- Write one field of a hash and move the directory's epoch, both or neither.
--
-- KEYS    hash, epoch (same hash tag)
-- ARGV    field, value, 'any' or 'same', the value expected before ('' for none) if 'same'
-- answers 1, or 0 where another value stands there than was expected (then nothing is changed)
if ARGV[3] == 'same' and (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[4] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('INCR', KEYS[2])
return 1
