-- `reviewstream.core.labelling.limits.operations.apply` inside Redis; the constants before this
-- come from `reviewstream.core.labelling.limits.pace`, which documents functions of the same name.
--
-- KEYS: the hash. ARGV: the time, or empty for the clock of Redis; the fields of the pace, of the
-- account and of its reservations; our own limits per minute, 0 for none; the budget, or empty; the
-- operation and its four numbers; the fields of the end and of its reason, the run, and the reason
-- to end it.
-- Returns the place (two numbers), the wait, the spacing, the spent and the reserved amount, 1 if
-- the budget is spent, 1 if reservations decide that, the tokens per minute, and the reason for the
-- end of the run.

local FIELDS = {
  'at', 'factor', 'pause', 'calm', 'guess', 'requests_limit', 'tokens_limit',
  'window', 'window_before',
  'requests_issued', 'requests_released', 'requests_recent', 'requests_before',
  'tokens_issued', 'tokens_released', 'tokens_recent', 'tokens_before',
  'is_heard', 'hearing', 'returned',
}
local own_requests, own_tokens, budget = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local pace = {}

local function read(text)
  local count = 0
  for number in string.gmatch(text, '%S+') do
    count = count + 1
    pace[FIELDS[count] or 'more'] = tonumber(number)
  end
  assert(count == #FIELDS, 'not a pace of reviewstream')
end

local function begin()
  for _, name in ipairs(FIELDS) do pace[name] = 0 end
  pace.factor = 1
end

local function written()
  local numbers = {}
  for index, name in ipairs(FIELDS) do numbers[index] = string.format('%.17g', pace[name]) end
  return table.concat(numbers, ' ')
end

local function smaller(one, other)
  if one ~= 0 and other ~= 0 then return math.min(one, other) end
  return one ~= 0 and one or other
end

local function rates()
  local requests = smaller(own_requests, pace.requests_limit) * MARGIN / MINUTE
  local tokens = smaller(own_tokens, pace.tokens_limit) * MARGIN / MINUTE
  if requests == 0 and tokens == 0 then return pace.guess, 0, HIGHEST end
  return requests, tokens, 1
end

local function is_free()
  local requests, tokens = rates()
  return requests == 0 and tokens == 0
end

local function is_unknown()
  return pace.is_heard == 0 and is_free()
end

local function gain(factor, seconds, cap)
  local growing = math.min((cap - factor) * RECOVERY, seconds)
  return factor * growing + growing * growing / (2 * RECOVERY) + cap * (seconds - growing)
end

local function time_for(worth, factor, cap)
  local growing = (cap - factor) * RECOVERY
  local most = factor * growing + growing * growing / (2 * RECOVERY)
  if worth > most then return growing + (worth - most) / cap end
  return 2 * worth / (factor + math.sqrt(factor * factor + 2 * worth / RECOVERY))
end

local function cap_queue(name, rate, returned)
  local most = pace[name .. '_issued']
  if rate == 0 then
    pace[name .. '_released'] = most
    return
  end
  most = most + math.max(rate * BURST, returned, 1)
  pace[name .. '_released'] = math.min(pace[name .. '_released'], most)
end

local function capped()
  if is_unknown() then return end
  local requests, tokens = rates()
  cap_queue('requests', requests * pace.factor, 0)
  cap_queue('tokens', tokens * pace.factor, pace.returned)
end

local function add(name, released)
  pace[name .. '_released'] = pace[name .. '_released'] + released
end

local function returned(name, count)
  add(name, count)
  pace[name .. '_recent'] = math.max(pace[name .. '_recent'] - count, 0)
end

local function next_window(name, is_over)
  pace[name .. '_before'] = is_over and 0 or pace[name .. '_recent']
  pace[name .. '_recent'] = 0
end

local function turned(passed)
  local window = pace.window + passed
  pace.window = window
  if window < SEEN then return end
  local is_over = window >= 2 * SEEN
  pace.window = 0
  pace.window_before = is_over and 0 or window
  next_window('requests', is_over)
  next_window('tokens', is_over)
end

local function advance(now)
  local passed = math.max(now - pace.at, 0)
  local is_behind = pace.at - STEP_BACK <= now and now < pace.at
  if passed > STALE then pace.guess, pace.factor = 0, 1 end
  if passed > HEARING and is_unknown() then
    pace.requests_released, pace.tokens_released = pace.requests_issued, pace.tokens_issued
  end
  local requests, tokens, cap = rates()
  local active = math.max(passed - pace.pause, 0)
  local factor = math.min(pace.factor, cap)
  local grown = gain(factor, active, cap)
  if not is_behind then pace.at = now end
  pace.factor = math.min(factor + active / RECOVERY, cap)
  pace.pause = math.max(pace.pause - passed, 0)
  pace.calm = math.max(pace.calm - passed, 0)
  pace.hearing = math.max(pace.hearing - passed, 0)
  add('requests', requests * grown)
  add('tokens', tokens * grown)
  turned(passed)
  capped()
end

local function issue(name, count)
  pace[name .. '_issued'] = pace[name .. '_issued'] + count
  pace[name .. '_recent'] = pace[name .. '_recent'] + count
end

local function worth(name, place, rate)
  if rate == 0 or place > pace[name .. '_issued'] then return 0 end
  return (place - pace[name .. '_released']) / rate
end

local function wait_for(requests_place, tokens_place)
  local requests, tokens, cap = rates()
  local most = math.max(
    worth('requests', requests_place, requests), worth('tokens', tokens_place, tokens)
  )
  local wait = pace.pause + (most > 0 and time_for(most, pace.factor, cap) or 0)
  return wait > NEAR and wait or 0
end

local function called(requests_place, tokens_place)
  local wait = wait_for(requests_place, tokens_place)
  if not is_unknown() then return wait end
  if pace.hearing > 0 then return math.max(wait, math.min(LISTEN, pace.hearing)) end
  pace.hearing = HEARING
  return wait
end

local function spacing()
  local requests = rates()
  return requests > 0 and 1 / (requests * pace.factor) or 0
end

local function refused(retry_after)
  pace.pause = math.max(pace.pause, math.min(retry_after, LONGEST_PAUSE))
  if pace.calm > 0 then return end
  pace.calm = CALM
  if is_free() then
    local seen = (pace.requests_recent + pace.requests_before)
      / math.max(pace.window + pace.window_before, 1)
    pace.guess, pace.factor = math.max(seen, LOWEST_GUESS), GUESS
  else
    pace.factor = math.max(pace.factor * CUT, LOWEST)
  end
  capped()
end

local function indebted(name, old)
  if old > 0 then return end
  pace[name .. '_released'] = pace[name .. '_issued'] - pace[name .. '_recent']
    - pace[name .. '_before']
end

local function learned(requests_told, tokens_told)
  local old_requests, old_tokens = rates()
  local was_unknown = is_unknown()
  pace.is_heard = 1
  if requests_told ~= 0 then pace.requests_limit = requests_told end
  if tokens_told ~= 0 then pace.tokens_limit = tokens_told end
  local _, _, cap = rates()
  pace.factor = math.min(pace.factor, cap)
  if not was_unknown then
    indebted('requests', old_requests)
    indebted('tokens', old_tokens)
  end
  capped()
end

local now = tonumber(ARGV[1])
if now == nil then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end
local kept = redis.call('HGET', KEYS[1], ARGV[2])
if kept then read(kept) else begin() end
local spent = tonumber(redis.call('HGET', KEYS[1], ARGV[3]) or 0)
assert(spent and spent >= 0, 'not an account of reviewstream')
-- The reservations, the time at which `lease` was set, and its seconds until they count as spent.
local held, held_at, lease = string.match(
  redis.call('HGET', KEYS[1], ARGV[4]) or '0 0 0', '^(%S+) (%S+) (%S+)$'
)
held, held_at, lease = tonumber(held), tonumber(held_at), tonumber(lease)
assert(held and held_at and lease and held >= 0, 'not a reservation of reviewstream')
local kind, one, two = ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])
local three, four = tonumber(ARGV[11]), tonumber(ARGV[12])
local run, reason, why = ARGV[15], ARGV[16], ''
local requests_place, tokens_place, wait, gap, is_spent, is_pending = 0, 0, 0, 0, 0, 0

if run ~= '' and redis.call('HGET', KEYS[1], ARGV[13]) == run then
  why = redis.call('HGET', KEYS[1], ARGV[14])
end
if kind == 'end' and run ~= '' and reason ~= '' and why == '' then
  redis.call('HSET', KEYS[1], ARGV[13], run, ARGV[14], reason)
  why = reason
end

local function told()
  local reply = {}
  for index, number in ipairs({
    requests_place, tokens_place, wait, gap, spent, held, is_spent, is_pending,
    smaller(own_tokens, pace.tokens_limit),
  }) do
    reply[index] = string.format('%.17g', number)
  end
  reply[#reply + 1] = why
  return reply
end

local function denied(cost)
  if lease == 0 then held = 0 end
  if spent - held + cost > budget then is_spent = 1 else is_pending = 1 end
end

local function changed()
  if kind == 'take' then
    spent, held = spent + two, held + two
    issue('requests', 1)
    issue('tokens', one)
    pace.returned = 0
    requests_place, tokens_place = pace.requests_issued, pace.tokens_issued
    capped()
  elseif kind == 'look' then
    requests_place, tokens_place = one, two
  elseif kind == 'give_back' then
    spent, held = math.max(spent - three, 0), math.max(held - four, 0)
    returned('requests', one)
    returned('tokens', two)
    if one == 0 then pace.hearing = 0 end
    pace.returned = math.max(pace.returned, two)
    capped()
  elseif kind == 'refusal' then
    refused(one)
  elseif kind == 'learn' then
    learned(one, two)
  end
  held = math.min(held, spent)
end

if kind == 'end' or (kind == 'take' and why ~= '') then return told() end
advance(now)
lease = math.max(lease - math.max(now - held_at, 0), 0)
if kind == 'take' and budget and spent + two > budget then
  denied(two)
else
  changed()
  if kind == 'take' or kind == 'look' then
    wait = called(requests_place, tokens_place)
    lease = math.max(lease, wait + three)
  end
  gap = spacing()
end
local reserved = held > 0 and string.format('%.0f %.17g %.17g', held, now, lease) or '0 0 0'
redis.call(
  'HSET', KEYS[1], ARGV[2], written(), ARGV[3], string.format('%.0f', spent), ARGV[4], reserved
)
return told()
