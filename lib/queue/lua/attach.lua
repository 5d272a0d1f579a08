#!lua flags=allow-oom
-- ATTACH: a reply id hears of the end of jobs that others submitted.
-- ARGV: owner, rid, id*
-- Returns a look each, as status; 1 in place of 0: live, but 9 follow it already; docs/protocol.md 5.6

local owner, rid = need_owner(ARGV[1]), ARGV[2]
if not rid or #rid ~= 8 then
    refuse('IQARG', 'rid')
end
need_ids(3, 128)

open(STATE)
local looks = {}
for i = 3, #ARGV do
    local id = ARGV[i]
    local h, key = look(id)
    if not h or h.st == 'N' then
        looks[#looks + 1] = { -1 }
    elseif not is_owner(owner, key, h) then
        looks[#looks + 1] = { -2 }
    else
        local heard = h.st == 'F' or not INDEX[h.st] or follow(id, key, h, rid)
        looks[#looks + 1] = { heard and 0 or 1, view(id, key, h) }
    end
end
finale()
return looks
