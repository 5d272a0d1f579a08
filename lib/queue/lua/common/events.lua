-- Events for producers, published last; indexes and wake tokens.

local inbox, inboxes = {}, {}

local function note(rid, id, letter, err, body)
    if rid == NOBODY then
        return
    end
    if not inbox[rid] then
        inbox[rid] = {}
        inboxes[#inboxes + 1] = rid
    end
    local inline = #body <= 4096
    local events = inbox[rid]
    events[#events + 1] = pack('>c1BHI4', letter, #id, err, inline and #body or 4294967295) .. id .. (inline and body or '')
end

-- Last of all, and never an error: a right that lacks must not break a transition that is done.
local function publish()
    for _, rid in ipairs(inboxes) do
        local heard = redis.pcall('SPUBLISH', P .. 'r:' .. rid, table.concat(inbox[rid]))
        if type(heard) == 'table' then
            redis.pcall('HINCRBY', M, 'c.mute', 1)
        end
    end
end

-- ---- indexes ----

local dropped = {}
local tokens = 0 -- to push at the end

local function drop(index, id)
    dropped[index] = dropped[index] or {}
    table.insert(dropped[index], id)
end

local function sweep()
    for index, ids in pairs(dropped) do
        call('ZREM', P .. index, unpack(ids))
    end
    dropped = {}
end

-- All pushes of wake tokens are this one: at most 4 wait (and one call's two).
local function wake(n)
    if n > 0 and call('LLEN', P .. 'wk') < 4 then
        call('RPUSH', P .. 'wk', unpack({ '1', '1', '1', '1' }, 1, n))
    end
end

local function finale()
    sweep()
    save()
    wake(tokens)
    publish()
end
