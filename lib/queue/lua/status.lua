#!lua flags=no-writes
-- STATUS: how jobs stand. May run on a replica.
-- ARGV: owner, id*
-- Returns a look each: [-1], [-2] or [0, letter, header, how, body]; docs/protocol.md 5.6

local owner = need_owner(ARGV[1])
need_ids(2, 128)

open({ 'ver' }, true)
local looks = {}
for i = 2, #ARGV do
    local h, key = look(ARGV[i])
    if not h or h.st == 'N' then
        looks[#looks + 1] = { -1 }
    elseif not is_owner(owner, key, h) then
        looks[#looks + 1] = { -2 }
    else
        looks[#looks + 1] = { 0, view(ARGV[i], key, h) }
    end
end
return looks
