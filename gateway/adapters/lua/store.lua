-- Store an answer and write that down among the changes, in one step; end the flight that computed it, and publish it.
--
-- An owner that lost the lease (its process was stopped, say) does not replace what its successor has stored.
--
-- KEYS    entry, lease, changes (same hash tag)
-- ARGV    cache key, answer, TTL in ms, 1 or 0: whether the first write wins, maximum changes, owner ('': no flight),
--         channel, maximum bytes of a message
-- answers the entry that was there and was not replaced, or nothing
local flight = ARGV[6] ~= ''
local holder = redis.call('GET', KEYS[2])
local ours = flight and holder and string.sub(holder, 1, #ARGV[6] + 1) == ARGV[6] .. ' '
local existing = false
if ARGV[4] == '0' and (ours or not flight) then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
else
  existing = redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3], 'NX', 'GET')
end
if not existing then
  if redis.call('TYPE', KEYS[3]).ok ~= 'stream' then redis.call('DEL', KEYS[3]) end
  redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[5], '*', 'key', ARGV[1])
end
if not flight then return existing end
-- With an existing entry the lease is not released: the owner may find it invalid, and replaces it next.
if ours and not existing then redis.call('DEL', KEYS[2]) end
local message = ARGV[2]
if existing or #message > tonumber(ARGV[8]) then message = '' end
-- Must succeed even if the store's ACL forbids publishing.
redis.pcall('PUBLISH', ARGV[7], message)
return existing
