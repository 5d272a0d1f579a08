-- What every script of a queue stands on: arguments, the record, the hash `P m`, transitions, the tick, events.
-- KEYS[1] = P m, KEYS[2] = P 0 (never exists). The build puts behind each script's first line what stands here, without
-- the functions that the script does not need: every closure that is made costs each call of the script.
--
-- Order of writes, which makes a script that was cut short harmless: the new index entry, then the record, then the
-- removal of the old entry (drop() collects those, sweep() does them). What a cut leaves over is at most an index entry
-- whose record says something else; put_right() mends it when take or tick meets it.
-- Numbers above 1e14 go through int_text(): Lua's own conversion keeps 14 digits.

local M = KEYS[1]
local P = string.sub(M, 1, -2)
local call = redis.call
local pack, unpack_bytes = struct.pack, struct.unpack
local floor, min, max, byte, sub = math.floor, math.min, math.max, string.byte, string.sub
-- The only line that reads the clock; test builds replace it by a key.
local TIME = call('TIME')
local now = TIME[1] * 1000 + floor(TIME[2] / 1000)

local NOBODY = '\0\0\0\0\0\0\0\0'
local CLASS = 17592186044416 -- 2^44: what lies between two priorities in `w`
local PARKED = 10 * CLASS -- from here on: records of another version
local HEADER = '>Bc1BBHHHHHHI8I8I8I8I8c8BBHI4c8'
local HEADER_SIZE = 80
local INLINE = 8192 -- longer records and bodies are fetched by GET
local WITH_OPTIONS = 255 -- look() that far reads most records' options with the header
local YEAR = 31622400000 -- 366 days
local LEASE_MAX = 300000
local FLAG_DEADLINE, FLAG_COMPAT, FLAG_ATTACHED = 1, 16, 32
local FLAG2_SESSION, FLAG2_ACKED, FLAG2_PUSHED_OUT = 1, 2, 4
local E_TIMEOUT, E_CANCELLED, E_LOST = 4, 5, 16 -- imgq_status, negated
local INDEX = { W = 'w', D = 'd', A = 'a', F = 'x' }

local function int_text(n)
    return string.format('%.0f', n)
end

local function has(bits, bit)
    return floor(bits / bit) % 2 == 1
end
