-- The hash `P m`: settings, counters, what a call changes of them.

local DEFAULTS = { xn = 100000, xb = 2147483648, rt = 3600000, it = 600000, dt = 604800000, dc = 10000, ma = 86400000 }
-- What the tick and transitions need; a script that does neither names its own.
local STATE = { 'ver', 'n', 'b', 'q', 'fe', 'tk', 'gr', 'pa', 'xby', 'cw', 'dr', 'xn', 'xb', 'it', 'ma' }
local m, dirty, counts = {}, {}, {}

local function read_fields(names)
    local values = call('HMGET', M, unpack(names))
    for i, name in ipairs(names) do
        m[name] = tonumber(values[i] or nil) or DEFAULTS[name] or 0
    end
    return values
end

-- The hash's version, first of names, and the other fields. reading: an absent hash is an empty queue.
-- Counters that are among them are written with the rest, others by HINCRBY.
local function open(names, reading)
    local found = read_fields(names)[1]
    if found ~= '1' and (found or not reading) then
        refuse('IQVER', found or '0')
    end
end

local function set(name, value)
    m[name] = value
    dirty[name] = true
end

local function add(name, delta)
    m[name] = max(0, m[name] + delta)
    dirty[name] = true
end

local function count(name, n)
    if m[name] then
        set(name, m[name] + (n or 1))
    else
        counts[name] = (counts[name] or 0) + (n or 1)
    end
end

local function save()
    local fields = {}
    for name in pairs(dirty) do
        fields[#fields + 1] = name
        fields[#fields + 1] = int_text(m[name])
    end
    if #fields > 0 then
        call('HSET', M, unpack(fields))
        dirty = {}
    end
    for name, n in pairs(counts) do
        call('HINCRBY', M, name, n)
    end
    counts = {}
end
