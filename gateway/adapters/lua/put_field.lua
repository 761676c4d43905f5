-- Set one field of a hash and increment the directory's epoch, both or neither.
--
-- KEYS    hash, epoch (same hash tag); without an epoch, none is incremented: what the field says has not changed
-- ARGV    field, value, 'always' or 'if_equal', and for 'if_equal' the expected present value ('' for none)
-- answers 1, or 0 where the present value is not the expected one (then nothing is changed)
if ARGV[3] == 'if_equal' and (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[4] then return 0 end
-- In this order: nothing is written where the epoch is no number (a script that fails undoes nothing).
if KEYS[2] then redis.call('INCR', KEYS[2]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
