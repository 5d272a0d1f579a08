#!lua flags=allow-oom
-- PAUSE, RESUME: 1 deliver nothing, 2 accept nothing. What is active goes on.
-- ARGV: bits to set, bits to clear
-- Returns the bits now; docs/protocol.md 5.8

if #ARGV ~= 2 then
    refuse('IQARG', 'number of arguments')
end
local to_set, to_clear = need_int(ARGV[1], 0, 3, 'bits'), need_int(ARGV[2], 0, 3, 'bits')

open(STATE)
tick(8)
local before, after = m.pa, 0
for _, bit in ipairs({ 1, 2 }) do
    if has(to_set, bit) or (has(before, bit) and not has(to_clear, bit)) then
        after = after + bit
    end
end
if after ~= before then
    set('pa', after)
end
if has(before, 1) and not has(after, 1) then
    tokens = 4
end
finale()
return after
