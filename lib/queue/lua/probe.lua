#!lua flags=no-writes
-- PROBE: may this user do what its role's scripts and programs do? A script that meets NOPERM has begun to write.
-- Stands alone, without common/*.lua, so that it runs before anything else is certain.
-- KEYS[1] = P m, KEYS[2] = P 0. ARGV: role, reference list or empty (only a worker is asked for rights to it)
-- Returns the missing ACL rules; docs/protocol.md 5.12

local P = string.sub(KEYS[1], 1, -2)
local role, list = ARGV[1], ARGV[2] or ''
local may = redis.acl_check_cmd

-- Commands of the scripts (common/*.lua and the role's own) and of the C side, in words; K: a key of the queue, C: its channel.
local READER = { 'get K', 'hget K f', 'hmget K f', 'hgetall K', 'getrange K 0 1', 'strlen K', 'exists K', 'zcard K', 'zcount K 0 1',
    'zrange K 0 1', 'zrangebyscore K 0 1', 'llen K', 'smembers K', 'time', 'ping', 'info', 'evalsha x 0', 'eval x 0' }
local PRODUCER = { 'set K v', 'setrange K 0 v', 'del K', 'unlink K', 'persist K', 'pexpire K 1', 'expire K 1',
    'hset K f v', 'hsetnx K f v', 'hdel K f', 'hincrby K f 1', 'zadd K 0 m', 'zrem K m', 'rpush K v', 'sadd K m',
    'sunsubscribe', 'spublish C v', 'ssubscribe C' }
local WORKER = { 'blpop K 1' }
local OPERATOR = { 'zscore K m', 'zrank K m' }
local LISTS = { 'lindex K 0', 'ltrim K 0 1', 'lindex L 0', 'ltrim L 0 1', 'llen L', 'blmove L K left right 1' }
local UUID = '01234567-89ab-cdef-0123-456789abcdef' -- the reference's answers are keys of this form

local roles = { reader = { READER }, producer = { READER, PRODUCER }, worker = { READER, PRODUCER, WORKER },
    operator = { READER, PRODUCER, WORKER, OPERATOR } }
local wanted = roles[role]
if not wanted then
    return redis.error_reply('IQARG role')
end
local imports = role == 'worker' and list ~= ''
if imports then
    wanted[#wanted + 1] = LISTS
end

local function check(words)
    local args = {}
    local places = { K = P .. 'w', L = list, C = P .. 'r:0' }
    for word in string.gmatch(words, '%S+') do
        args[#args + 1] = places[word] or word
    end
    return may(unpack(args))
end

local missing, known = {}, {}
local function miss(rule)
    if not known[rule] then
        known[rule] = true
        missing[#missing + 1] = rule
    end
end

-- What a command names decides which rule it needs beside its own: one command that is allowed there shows that the
-- pattern is granted; where all are refused, the pattern is what lacks.
local places = { { 'C', '&' .. P .. '*' }, { 'L', '~' .. list }, { 'K', '~' .. P .. '*' } }
local refused, allowed = { C = {}, L = {}, K = {} }, {}
for _, group in ipairs(wanted) do
    for _, words in ipairs(group) do
        local name, place = string.match(words, '^%S+'), nil
        for _, p in ipairs(places) do
            place = place or (string.find(words, ' ' .. p[1], 1, true) and p[1])
        end
        local granted = check(words)
        if granted then
            allowed[place or ''] = true
        elseif place then
            table.insert(refused[place], name)
        else
            miss('+' .. name)
        end
    end
end
for _, p in ipairs(places) do
    for _, name in ipairs(refused[p[1]]) do
        miss(allowed[p[1]] and '+' .. name or p[2])
    end
end
if imports and not known['+set'] and not may('set', UUID, 'v') then
    miss('~????????-????-????-????-????????????')
end
return missing
