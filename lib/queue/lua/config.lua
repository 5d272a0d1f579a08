#!lua flags=allow-oom
-- CONFIG: settings of the queue. An empty value is the default again.
-- ARGV: (setting, value)+
-- Returns how many; docs/protocol.md 5.8

local RANGES = { xn = { 1, 1000000000 }, xb = { 1, 2 ^ 50 }, rt = { 1, YEAR }, it = { 1, YEAR }, dt = { 1, YEAR },
    dc = { 1, 1000000 }, ma = { 1, YEAR } }

local function are_weights(text)
    local n, sum = 0, 0
    for number in string.gmatch(text .. ',', '([^,]*),') do
        local weight = int(number, 0, 1000)
        if not weight then
            return false
        end
        n, sum = n + 1, sum + weight
    end
    return n == 10 and sum > 0
end

if #ARGV < 2 or #ARGV % 2 ~= 0 or #ARGV > 32 then
    refuse('IQARG', 'number of arguments')
end
for i = 1, #ARGV, 2 do
    local name, value = ARGV[i], ARGV[i + 1]
    local range = RANGES[name]
    if not (range or name == 'wt') then
        refuse('IQARG', 'setting')
    end
    if value ~= '' and not (range and int(value, range[1], range[2])) and not (name == 'wt' and are_weights(value)) then
        refuse('IQARG', 'value of ' .. name)
    end
end

open({ 'ver' })
for i = 1, #ARGV, 2 do
    if ARGV[i + 1] == '' then
        call('HDEL', M, ARGV[i])
    else
        call('HSET', M, ARGV[i], ARGV[i + 1])
    end
end
return #ARGV / 2
