-- Run commands, each of which may fail, and say which did: whether this user may use them, and the server takes changes.
--
-- KEYS    scratch keys with one hash tag, deleted at the end
-- ARGV    the commands, a JSON array of arrays of words
-- answers name and error of each command that failed, alternating
local failed = {}
for _, words in ipairs(cjson.decode(ARGV[1])) do
  local answer = redis.pcall(unpack(words))
  if type(answer) == 'table' and answer.err then
    failed[#failed + 1] = words[1]
    failed[#failed + 1] = answer.err
  end
end
redis.pcall('UNLINK', unpack(KEYS))
return failed
