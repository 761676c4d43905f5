-- Raise a number; it never becomes smaller. One that is no number is an error: it must not count as 0.
--
-- KEYS    the number
-- ARGV    what it must be at least
-- answers the number now, as text
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
if not held then return redis.error_reply('not a number') end
if held < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
  return ARGV[1]
end
return string.format('%.0f', held)
