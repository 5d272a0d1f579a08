-- What the scripts of takers and followers share.

-- First 8 bytes of the SHA-1 of a worker argument: who holds a delivery.
local function worker_hash(worker)
    local hex = redis.sha1hex(worker)
    return pack('>I4I4', tonumber(sub(hex, 1, 8), 16), tonumber(sub(hex, 9, 16), 16))
end

local function seen(worker, info)
    call('ZADD', P .. 'wr', int_text(now), worker)
    if info ~= '' and call('HGET', P .. 'wi', worker) ~= info then
        call('HSET', P .. 'wi', worker, info)
    end
end

-- True if rid hears of the end of this live job now; false if there are 9 already.
local function follow(id, key, h, rid)
    if rid == NOBODY or rid == h.rid then
        return true
    end
    if h.rid == NOBODY then
        h.rid = rid
        write_head(key, h)
        return true
    end
    local others = call('SMEMBERS', P .. 'at:' .. id)
    local there = false
    for _, other in ipairs(others) do
        there = there or other == rid
    end
    if not there and #others >= 8 then
        return false
    end
    call('SADD', P .. 'at:' .. id, rid)
    call('EXPIRE', P .. 'at:' .. id, 86400)
    if not has(h.fl, FLAG_ATTACHED) then
        h.fl = h.fl + FLAG_ATTACHED
        write_head(key, h)
    end
    return true
end

-- Is this the delivery that (fence, worker) name, still active? Else the code: -1 gone, 4 cancelled, 0 stale.
local function holds(h, fence, hash)
    if not h or h.st == 'N' then
        return false, -1
    end
    if h.fence ~= fence then
        return false, 0
    end
    if h.st == 'A' and h.worker == hash then
        return true
    end
    return false, h.st == 'X' and 4 or 0
end
