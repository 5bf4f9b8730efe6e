-- After a decision of Floorline: writes the provider's name of the model into the request, and tells
-- Floorline what the call took. The dynamic metadata `floorline` has the client's key until then: keep
-- it out of access logs.

-- Bytes of an answer that are looked at again with what follows them: more than `usage` has.
local WINDOW = 4096
-- Milliseconds that the report may take; the answer does not wait for it.
local REPORT_MS = 5000
local REQUESTS_FAULT = {["400"] = true, ["413"] = true, ["422"] = true}
local QUOTE, BACKSLASH = 34, 92

-- Position of the quote that ends the text which begins at `start`; nil without one.
local function end_of_text(body, start)
  local found = start
  repeat
    found = string.find(body, '"', found + 1, true)
    if found == nil then
      return nil
    end
    local before = found - 1
    while string.byte(body, before) == BACKSLASH do
      before = before - 1
    end
    -- An even number of backslashes: each escapes the next one, and none the quote.
  until (found - 1 - before) % 2 == 0
  return found
end

-- Returns the body with another value of its field `model`, and all other bytes as they are; nil if a
-- provider might read another model out of it.
local function with_model(body, name)
  local parts, copied, depth, at = {}, 1, 0, 1
  while true do
    local found = string.find(body, '["{}%[%]]', at)
    if found == nil then
      break
    end
    local char = string.sub(body, found, found)
    if char == "{" or char == "[" then
      depth = depth + 1
    elseif char ~= '"' then
      depth = depth - 1
    else
      local last = end_of_text(body, found)
      if last == nil then
        return nil
      end
      local value = depth == 1 and string.match(body, "^%s*:%s*()", last + 1)
      if value then
        local key = string.sub(body, found + 1, last - 1)
        if key == "model" then
          local stop = string.byte(body, value) == QUOTE and end_of_text(body, value)
          if not stop then
            return nil
          end
          -- A field that is there twice is replaced twice.
          table.insert(parts, string.sub(body, copied, value - 1) .. '"' .. name .. '"')
          copied, last = stop + 1, stop
        elseif string.lower(key) == "model" or string.find(key, "\\", 1, true) then
          -- Some parsers do not mind the case of a key; an escape may spell "model".
          return nil
        end
      end
      found = last
    end
    at = found + 1
  end
  if copied == 1 then
    return nil
  end
  return table.concat(parts) .. string.sub(body, copied)
end

function envoy_on_request(request)
  local headers = request:headers()
  local decision = headers:get("x-floorline-decision")
  if decision ~= nil then
    local key = headers:get("x-api-key") or headers:get("api-key")
    local call = request:streamInfo():dynamicMetadata()
    call:set("floorline", "decision", decision)
    call:set("floorline", "model", headers:get("x-floorline-model"))
    call:set("floorline", "key", headers:get("authorization") or (key and "Bearer " .. key) or "")
    call:set("floorline", "began", tostring(request:timestamp()))
  end
  local name = request:metadata():get("model")
  if name == nil then
    return
  end
  local body = request:body()
  local changed = body and with_model(body:getBytes(0, body:length()), name)
  if not changed then
    local why = "Envoy cannot replace the field model: give it once, as a text"
    request:respond(
      {[":status"] = "400", ["content-type"] = "application/json"},
      '{"error": {"message": "' .. why .. '", "type": "invalid_request_error", "param": "model"}}'
    )
    return
  end
  -- The headers from before `body`, which waits for the whole request, cannot be used any more.
  request:headers():replace("content-length", body:setBytes(changed))
end

function envoy_on_response(response)
  local call = response:streamInfo():dynamicMetadata():get("floorline")
  if call == nil then
    return
  end
  local headers = response:headers()
  headers:replace("x-floorline-decision", call["decision"])
  headers:replace("x-floorline-model", call["model"])
  local status = headers:get(":status")
  local streamed = string.find(headers:get("content-type") or "", "text/event-stream", 1, true)

  -- A quote within a text of the answer has a backslash before it, so that `"usage"` is always a
  -- field. The object of a whole answer or of a chunk begins with its id.
  local usage, id, first, window = nil, nil, nil, ""
  for chunk in response:bodyChunks() do
    local size = chunk:length()
    if size > 0 then
      first = first or response:timestamp()
      window = window .. chunk:getBytes(0, size)
      id = id or string.match(window, '^%s*{%s*"id"%s*:%s*"([^"\\]+)"')
      id = id or string.match(window, '^data:%s*{%s*"id"%s*:%s*"([^"\\]+)"')
      for found in string.gmatch(window, '"usage"%s*:%s*(%b{})') do
        usage = found
      end
      window = string.sub(window, -WINDOW)
    end
  end

  local fields = {string.format('"id":"%s"', call["decision"])}
  local function add(name, value)
    if value then
      table.insert(fields, string.format('"%s":%s', name, value))
    end
  end
  local function seconds(till)
    return string.format("%.3f", math.max(till - tonumber(call["began"]), 0) / 1000)
  end
  add("latency", seconds(response:timestamp()))
  if string.sub(status, 1, 1) ~= "2" then
    -- Floorline knows by this text that the request was at fault, and not the model.
    local why = REQUESTS_FAULT[status] and "the provider answered" or "status"
    add("error", string.format('"%s %s"', why, status))
  else
    add("first_token", streamed and first and seconds(first))
    add("completion", id and string.format('"%s"', id))
    if usage ~= nil then
      add("input_tokens", string.match(usage, '"prompt_tokens"%s*:%s*(%d+)'))
      add("output_tokens", string.match(usage, '"completion_tokens"%s*:%s*(%d+)'))
      add("cached_tokens", string.match(usage, '"cached_tokens"%s*:%s*(%d+)'))
    end
  end
  response:httpCall(
    "floorline",
    {
      [":method"] = "POST",
      [":path"] = "/v1/outcomes",
      [":authority"] = "localhost",
      ["content-type"] = "application/json",
      ["authorization"] = call["key"],
    },
    "{" .. table.concat(fields, ",") .. "}",
    REPORT_MS,
    true
  )
end
