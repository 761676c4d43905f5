-- The cache's epoch, a number that only grows; with 'purge' the next one.
--
-- It starts at the time in ms and not at 0: where a cache server evicts or loses it, the one made in its place is
-- larger than any before, and entries purged long ago stay out of reach.
--
-- KEYS    epoch
-- ARGV    'purge' or ''
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
if held > 0 and ARGV[1] ~= 'purge' then return held end
local time = redis.call('TIME')
local epoch = math.max(held + 1, time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('SET', KEYS[1], string.format('%.0f', epoch))
return epoch
