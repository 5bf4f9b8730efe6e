"""Errors as providers send them: provider, status, body, and what the error means.

The bodies are those of public reports; names of models and accounts are changed.
"""


def _openai(message, code=None, kind="invalid_request_error", param=None):
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _flat(message, kind, code=400):
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


CONTEXT = [
    (
        "OpenAI",
        400,
        _openai(
            "This model's maximum context length is 8192 tokens. However, your messages resulted "
            "in 10012 tokens. Please reduce the length of the messages.",
            "context_length_exceeded",
            param="messages",
        ),
        8192,
    ),
    ("Groq", 400, _openai("Please reduce the length.", "context_length_exceeded"), None),
    (
        "Anthropic",
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 208310 tokens > 200000 maximum",
            },
            "request_id": "req_011",
        },
        200_000,
    ),
    (
        "Anthropic",
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "input length and `max_tokens` exceed context limit: 199211 + 8192 > "
                "200000, decrease input length or `max_tokens` and try again",
            },
        },
        200_000,
    ),
    (
        "Google",
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (1196265) exceeds the maximum number of "
                    "tokens allowed (1048575).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        1_048_575,
    ),
    (
        "Mistral",
        400,
        _flat(
            "Prompt contains 40301 tokens and 0 draft tokens, too large for model with 32768 "
            "maximum context length",
            "invalid_request_prompt",
            "3051",
        ),
        32_768,
    ),
    (
        "vLLM",
        400,
        _flat(
            "This model's maximum context length is 4096 tokens. However, you requested 4196 "
            "tokens (96 in the messages, 4100 in the completion). Please reduce the length of the "
            "messages or completion.",
            "BadRequestError",
        ),
        4096,
    ),
    (
        "vLLM",
        400,
        {
            "error": _flat(
                "The decoder prompt (length 5120) is longer than the maximum model length of "
                "4096. Make sure that `max_model_len` is no smaller than the number of tokens.",
                "BadRequestError",
            )
        },
        4096,
    ),
    (
        "SGLang",
        400,
        _flat(
            "The input (5123 tokens) is longer than the model's context length (4096 tokens).",
            "BadRequestError",
        ),
        4096,
    ),
    (
        "llama.cpp",
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 9412,
                "n_ctx": 8192,
            }
        },
        8192,
    ),
    (
        "Ollama",
        400,
        {"error": "the input length exceeds the context length"},
        None,
    ),
    (
        "LM Studio",
        400,
        {
            "error": "Trying to keep the first 9000 tokens when context the overflows. However, "
            "the model is loaded with context length of only 4096 tokens, which is not enough."
        },
        4096,
    ),
    (
        "Together, TGI",
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. "
            "Given: 4800 `inputs` tokens and 512 `max_new_tokens`",
            "error_type": "validation",
        },
        4097,
    ),
    (
        "OpenRouter",
        400,
        {
            "error": {
                "message": "This endpoint's maximum context length is 32,768 tokens. However, you "
                "requested about 40112 tokens (40112 of text input).",
                "code": 400,
                "metadata": {"provider_name": None},
            }
        },
        32_768,
    ),
    (
        "DeepSeek",
        400,
        _openai(
            "This model's maximum context length is 65536 tokens. However, you requested 70004 "
            "tokens (66004 in the messages, 4000 in the completion).",
            "invalid_request_error",
        ),
        65_536,
    ),
    (
        "xAI",
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt length is 131072 but the request contains "
            "140002 tokens.",
        },
        131_072,
    ),
    (
        "Cerebras",
        400,
        {
            "message": "Please reduce the length of the messages or completion. Current length is "
            "9119 while limit is 8192",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        },
        8192,
    ),
    ("Bedrock", 400, {"message": "Input is too long for requested model."}, None),
    (
        "Bedrock through LiteLLM",
        400,
        _openai(
            "litellm.BadRequestError: BedrockException - Context Window Error - "
            '{"message":"Input is too long for requested model."}',
            "context_length_exceeded",
        ),
        None,
    ),
    (
        "Moonshot",
        400,
        _openai("Invalid request: Your request exceeded model token limit: 8192"),
        8192,
    ),
    (
        "GitHub",
        413,
        {
            "error": {
                "code": "tokens_limit_reached",
                "message": "Request body too large for gpt-4o model. Max size: 8000 tokens.",
                "details": "Request body too large for gpt-4o model. Max size: 8000 tokens.",
            }
        },
        8000,
    ),
    (
        "DashScope",
        400,
        _openai("Range of input length should be [1, 30720]", "invalid_parameter_error"),
        30_720,
    ),
    (
        "OpenAI",
        400,
        _openai(
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in "
            "300107 tokens. Please reduce the length of the messages.",
            "context_length_exceeded",
        ),
        272_000,
    ),
    ("OpenAI", 400, _openai("Your input exceeds the context window of this model."), None),
    (
        "Cohere",
        400,
        {"message": "too many tokens: size limit exceeded by 1234 tokens. Try using fewer inputs."},
        None,
    ),
    (
        "Databricks",
        400,
        {
            "error_code": "BAD_REQUEST",
            "message": "Input length 9001 exceeds maximum allowed token size 8192",
        },
        8192,
    ),
    ("MiniMax", 400, _openai("invalid params, context window exceeds limit"), None),
    ("Ollama", 400, {"error": "prompt too long; exceeded max context length by 4 tokens"}, None),
    (
        "a gateway that wraps an error",
        400,
        {
            "detail": '{"error":{"message":"too long","type":"invalid_request_error",'
            '"code":"context_length_exceeded"}}'
        },
        None,
    ),
]

OTHERS = [
    (
        "OpenAI",
        404,
        _openai(
            "The model `gpt-4-0314` does not exist or you do not have access to it.",
            "model_not_found",
        ),
        "model_not_found",
    ),
    (
        "OpenAI",
        404,
        _openai(
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
            param="model",
        ),
        "model_not_found",
    ),
    (
        "Azure",
        404,
        {
            "error": {
                "code": "DeploymentNotFound",
                "message": "The API deployment for this resource does not exist. If you created "
                "the deployment within the last 5 minutes, please wait a moment and try again.",
            }
        },
        "model_not_found",
    ),
    ("Azure", 404, {"error": {"code": "404", "message": "Resource not found"}}, "model_not_found"),
    (
        "Groq",
        400,
        _openai(
            "The model `gemma-7b-it` has been decommissioned and is no longer supported.",
            "model_decommissioned",
        ),
        "model_not_found",
    ),
    (
        "Anthropic",
        404,
        {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-2"}},
        "model_not_found",
    ),
    (
        "Google",
        404,
        [
            {
                "error": {
                    "code": 404,
                    "message": "models/gemini-1.0-pro is not found for API version v1main, or is "
                    "not supported for generateContent.",
                    "status": "NOT_FOUND",
                }
            }
        ],
        "model_not_found",
    ),
    ("Mistral", 400, _flat("Invalid model: mistral-x", "invalid_model", "1500"), "model_not_found"),
    ("vLLM", 404, _flat("The model `m` does not exist.", "NotFoundError", 404), "model_not_found"),
    (
        "Ollama",
        404,
        _openai('model "m" not found, try pulling it first', kind="api_error"),
        "model_not_found",
    ),
    ("Ollama", 404, {"error": "model 'm' not found"}, "model_not_found"),
    ("DeepSeek", 400, _openai("Model Not Exist"), "model_not_found"),
    (
        "OpenRouter",
        400,
        {"error": {"message": "a/b is not a valid model ID", "code": 400}},
        "model_not_found",
    ),
    (
        "OpenRouter",
        404,
        {"error": {"message": "No endpoints found for a/b.", "code": 404}},
        "model_not_found",
    ),
    (
        "xAI",
        404,
        {
            "code": "Some requested entity was not found",
            "error": "The model grok-0 does not exist or your team does not have access to it.",
        },
        "model_not_found",
    ),
    (
        "Together",
        404,
        _openai("Unable to access model m. Please visit the list.", "model_not_available"),
        "model_not_found",
    ),
    (
        "Bedrock",
        404,
        {"message": "This model version has reached the end of its life."},
        "model_not_found",
    ),
    (
        "Bedrock",
        403,
        {"message": "You don't have access to the model with the specified model ID."},
        "model_not_found",
    ),
    (
        "NVIDIA",
        410,
        {"title": "Gone", "status": 410, "detail": "The model 'm' has reached its end of life."},
        "model_not_found",
    ),
    (
        "Bedrock",
        404,
        {"message": "Access denied. This Model is marked by provider as Legacy."},
        "model_not_found",
    ),
    ("a reseller", 400, _openai("The model a/b is not supported."), "model_not_found"),
    (
        "Anthropic",
        400,
        {"error": {"message": "You have reached your specified API usage limits."}},
        "insufficient_quota",
    ),
    (
        "Anthropic",
        400,
        {"error": {"message": "messages.0.content.1: image exceeds 5 MB maximum: 6 MB > 5 MB"}},
        "client_error",
    ),
    ("a wrong path", 404, {"detail": "Not Found"}, "model_not_found"),
    ("a wrong path", 404, "404 page not found", "model_not_found"),
    (
        "one-api",
        503,
        _openai("No available channel for model m", "model_not_found"),
        "model_not_found",
    ),
    (
        "Azure",
        400,
        {
            "error": {
                "inner_error": {"code": "ResponsibleAIPolicyViolation"},
                "code": "content_filter",
                "message": "The response was filtered due to the prompt triggering Azure OpenAI's "
                "content management policy.",
                "param": "prompt",
                "type": None,
            }
        },
        "content_filter",
    ),
    ("OpenAI", 400, _openai("Rejected.", "content_policy_violation"), "content_filter"),
    (
        "OpenAI",
        400,
        _openai(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
            "invalid_prompt",
        ),
        "content_filter",
    ),
    ("DeepSeek", 400, _openai("Content Exists Risk"), "content_filter"),
    (
        "Anthropic",
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Output blocked by content filtering policy",
            },
        },
        "content_filter",
    ),
    (
        "OpenRouter",
        403,
        {
            "error": {
                "code": 403,
                "message": 'a/b requires moderation. Your input was flagged for "violence".',
                "metadata": {"reasons": ["violence"], "flagged_input": "..."},
            }
        },
        "content_filter",
    ),
    (
        "OpenAI",
        429,
        _openai(
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
        "insufficient_quota",
    ),
    (
        "Anthropic",
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Your credit balance is too low to access the Anthropic API.",
            },
        },
        "insufficient_quota",
    ),
    (
        "DeepSeek",
        402,
        _openai("Insufficient Balance", "invalid_request_error", "unknown_error"),
        "insufficient_quota",
    ),
    (
        "OpenRouter",
        402,
        {"error": {"message": "Insufficient credits. Add more.", "code": 402}},
        "insufficient_quota",
    ),
    (
        "OpenRouter",
        402,
        {
            "error": {
                "message": "This request requires more credits, or fewer max_tokens. You requested "
                "up to 65536 tokens, but can only afford 3000.",
                "code": 402,
            }
        },
        "request_too_large",
    ),
    (
        "OpenAI through LiteLLM",
        429,
        _openai(
            'litellm.RateLimitError: OpenAIException - {"error":{"message":"You exceeded your '
            'current quota","type":"insufficient_quota","code":"insufficient_quota"}}',
            "rate_limit_exceeded",
        ),
        "insufficient_quota",
    ),
    ("OpenAI", 429, _openai("Rate limit reached", "rate_limit_exceeded", "requests"), "rate_limit"),
    (
        "Google",
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota, please check your plan and "
                    "billing details. Please retry in 34s.",
                    "status": "RESOURCE_EXHAUSTED",
                }
            }
        ],
        "rate_limit",
    ),
    ("Azure", 429, {"statusCode": 429, "message": "Rate limit is exceeded."}, "rate_limit"),
    ("Bedrock", 429, {"message": "Too many tokens, please wait."}, "rate_limit"),
    (
        "Groq",
        413,
        _openai(
            "Request too large for model `m` in organization `o` on tokens per minute (TPM): "
            "Limit 6000, Requested 8312, please reduce your message size and try again.",
            "rate_limit_exceeded",
            "tokens",
        ),
        "request_too_large",
    ),
    (
        "Anthropic",
        413,
        {"error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}},
        "request_too_large",
    ),
    ("nginx", 413, "<html><h1>413 Request Entity Too Large</h1></html>", "request_too_large"),
    (
        "Anthropic",
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        "overloaded",
    ),
    (
        "llama.cpp",
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        "overloaded",
    ),
    (
        "OpenAI",
        400,
        _openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model.",
            "unsupported_parameter",
            param="max_tokens",
        ),
        "unsupported",
    ),
    (
        "Ollama",
        400,
        _openai("registry.ollama.ai/library/gemma:latest does not support tools", kind="api_error"),
        "unsupported",
    ),
    (
        "OpenRouter",
        404,
        {"error": {"message": "No endpoints found that support tool use.", "code": 404}},
        "unsupported",
    ),
    (
        "OpenAI",
        400,
        _openai(
            "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
            "invalid_value",
            param="max_tokens",
        ),
        "unsupported",
    ),
    ("Groq", 400, _openai("Failed to call a function.", "tool_use_failed"), "invalid_generation"),
    ("OpenAI", 401, _openai("Incorrect API key provided", "invalid_api_key"), "key_error"),
    (
        "Google",
        400,
        [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}],
        "key_error",
    ),
    (
        "xAI",
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "Incorrect API key provided: xa***.",
        },
        "key_error",
    ),
    (
        "OpenAI",
        400,
        _openai("Invalid value: 'robot'.", "invalid_value", param="messages[0].role"),
        "client_error",
    ),
    (
        "Mistral",
        422,
        {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]},
        "client_error",
    ),
    ("a file of the client", 404, _openai("No such file: file-1", param="file_id"), "client_error"),
    ("nonsense", 400, "???", "client_error"),
    ("OpenAI", 500, _openai("The server had an error", kind="server_error"), "server_error"),
]
