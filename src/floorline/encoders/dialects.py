"""Names of parts and fields in the messages of OpenAI, Anthropic, Gemini, Bedrock and others.

``prompt_size`` reads all dialects at once, because gateways and libraries mix them.
"""

from __future__ import annotations

MEDIA_PARTS = {
    "image": "vision",
    "image_url": "vision",
    "image_file": "vision",
    "input_image": "vision",
    "computer_screenshot": "vision",
    "image_generation_call": "vision",
    "audio": "audio",
    "audio_url": "audio",
    "input_audio": "audio",
    "video": "video",
    "video_url": "video",
    "input_video": "video",
    "file": "files",
    "file_url": "files",
    "input_file": "files",
    "document": "files",
    "document_url": "files",
    "container_upload": "files",
}
"""The capability that a part needs, by its type."""
MEDIA_FIELDS = {
    "image": "vision",
    "images": "vision",
    "audio": "audio",
    "video": "video",
    "document": "files",
}
"""The same of a field that holds a part without a type, as those of Bedrock and Ollama."""
CALLS = frozenset(
    {
        "tool_calls",
        "function_call",
        "tool_use",
        "tool_result",
        "function_call_output",
        "toolUse",
        "toolResult",
        "functionCall",
        "functionResponse",
        "function_response",
    }
)
"""Types and fields of a tool call or of its result."""
CALL_ROLES = frozenset({"tool", "function"})
DATA_FIELDS = frozenset(
    {
        "b64_json",
        "base64",
        "blob",
        "bytes",
        "data",
        "file_data",
        "file_id",
        "file_uri",
        "file_url",
        "fileId",
        "fileUri",
        "result",
        "uri",
        "url",
        *MEDIA_PARTS,
        *MEDIA_FIELDS,
    }
)
"""Fields of a part that is no text which hold its data, or say where they are."""
INLINE_FIELDS = frozenset({"data", "bytes", "blob", "base64", "b64_json", "file_uri", "fileUri"})
TYPE_FIELDS = frozenset({"mime_type", "mimeType", "media_type", "mediaType"})
NO_TEXT_FIELDS = frozenset(
    {
        *TYPE_FIELDS,
        "cache_control",
        "call_id",
        "citations",
        "detail",
        "format",
        "id",
        "object",
        "phase",
        "role",
        "signature",
        "status",
        "thought_signature",
        "thoughtSignature",
        "tool_call_id",
        "tool_use_id",
        "toolUseId",
        "type",
    }
)
"""Fields that no model reads as text."""
TEXT_FIELDS = frozenset(
    {
        "arguments",
        "content",
        "context",
        "input",
        "name",
        "output",
        "reasoning",
        "reasoning_content",
        "refusal",
        "text",
        "thinking",
        "title",
    }
)
"""Fields whose text is a text also if it looks like the address of data."""
JSON_FIELDS = frozenset({"args", "arguments", "input", "json", "parameters", "response"})
"""Fields whose objects and lists a model reads as JSON."""
TEXT_FORMATS = frozenset({"csv", "html", "json", "md", "txt", "xml", "yaml"})
"""Formats of Bedrock's documents that are texts."""
TEXT_TYPES = ("text/", "application/json", "application/xml", "application/yaml")
