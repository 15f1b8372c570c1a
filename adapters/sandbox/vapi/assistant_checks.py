"""What Vapi's validation complains about in an assistant, in the words of its NestJS error lists.

Source: Vapi's OpenAPI (CreateAssistantDTO and what it consists of). Of other providers' settings only the pair that
names them is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from adapters.sandbox.api import Json

ASSISTANT_FIELDS = frozenset(
    "transcriber model voice firstMessage firstMessageInterruptionsEnabled firstMessageMode voicemailDetection"
    " clientMessages serverMessages maxDurationSeconds backgroundSound modelOutputInMessagesEnabled"
    " transportConfigurations observabilityPlan credentials hooks name voicemailMessage endCallMessage endCallPhrases"
    " compliancePlan metadata backgroundSpeechDenoisingPlan analysisPlan artifactPlan startSpeakingPlan"
    " stopSpeakingPlan monitorPlan credentialIds server keypadInputPlan".split()
)
_MODES = (
    "assistant-speaks-first",
    "assistant-speaks-first-with-model-generated-message",
    "assistant-waits-for-user",
)
_SERVER_MESSAGES = frozenset(
    "assistant.started assistant-request conversation-update end-of-call-report function-call hang language-changed"
    " language-change-detected model-output phone-call-control speech-update status-update transcript tool-calls"
    " transfer-destination-request handoff-destination-request transfer-update user-interrupted voice-input".split()
)
_DETECTORS = ("google", "openai", "twilio", "vapi")
_TRANSCRIBERS = frozenset(
    "assembly-ai azure cartesia custom-transcriber deepgram 11labs gladia google openai soniox speechmatics"
    " talkscriber".split()
)
_VOICES = frozenset(
    "azure cartesia custom-voice deepgram 11labs hume inworld lmnt minimax neuphonic openai playht rime-ai sesame"
    " smallest-ai tavus vapi".split()
)
_TOOL_FIELDS = {
    "function": frozenset({"type", "function", "server", "async", "messages", "rejectionPlan"}),
    "endCall": frozenset({"type", "messages", "rejectionPlan"}),
    "query": frozenset({"type", "function", "knowledgeBases", "messages", "rejectionPlan"}),
    "transferCall": frozenset({"type", "function", "destinations", "messages", "rejectionPlan"}),
}
_OTHER_TOOLS = frozenset("apiRequest bash computer dtmf handoff mcp sms textEditor voicemail".split())
_SERVER_FIELDS = frozenset("url timeoutSeconds credentialId headers backoffPlan staticIpAddressesEnabled".split())
_BACKOFF_FIELDS = frozenset("type maxRetries baseDelaySeconds excludedStatusCodes".split())
_KNOWLEDGE_FIELDS = frozenset("name provider model description fileIds".split())
_FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_LENGTH = 40
_LONGEST_MESSAGE = 1000
_DURATION = range(10, 43201)
_TIMEOUT = range(1, 301)


def of_assistant(body: Json, files: Collection[str]) -> list[str]:
    """`files`: ids of those that exist. Fields that are null are not looked at, as with NestJS's IsOptional."""
    given = {name: value for name, value in body.items() if value is not None}
    complaints = [f"property {name} should not exist" for name in given if name not in ASSISTANT_FIELDS]
    complaints += _of_plain_fields(given)
    complaints += _of_pair(given, "voice", _VOICES, "voiceId")
    complaints += _of_pair(given, "transcriber", _TRANSCRIBERS, None)
    if "model" in given:
        complaints += _of_model(given["model"], files)
    if "server" in given:
        complaints += _of_server(given["server"], "server")
    return complaints


def _of_plain_fields(given: Json) -> Iterator[str]:
    if not isinstance(given.get("name", ""), str) or len(given.get("name", "")) > _NAME_LENGTH:
        yield "name must be shorter than or equal to 40 characters"
    if not isinstance(given.get("firstMessage", ""), str):
        yield "firstMessage must be a string"
    if given.get("firstMessageMode", _MODES[0]) not in _MODES:
        yield f"firstMessageMode must be one of the following values: {', '.join(_MODES)}"
    if given.get("maxDurationSeconds", _DURATION.start) not in _DURATION:
        yield "maxDurationSeconds must not be less than 10 or greater than 43200"
    if not isinstance(given.get("metadata", {}), dict):
        yield "metadata must be an object"
    if len(str(given.get("voicemailMessage", ""))) > _LONGEST_MESSAGE:
        yield "voicemailMessage must be shorter than or equal to 1000 characters"
    messages = given.get("serverMessages", [])
    if not isinstance(messages, list) or not set(messages) <= _SERVER_MESSAGES:
        yield "each value in serverMessages must be one of the following values: …"
    detection = given.get("voicemailDetection", "off")
    if detection != "off" and not (isinstance(detection, dict) and detection.get("provider") in _DETECTORS):
        yield f"voicemailDetection.provider must be one of the following values: {', '.join(_DETECTORS)}"


def _of_pair(given: Json, name: str, providers: frozenset[str], needed: str | None) -> Iterator[str]:
    settings = given.get(name)
    if settings is None:
        return
    if not isinstance(settings, dict) or settings.get("provider") not in providers:
        yield f"{name}.provider must be one of the following values: {', '.join(sorted(providers))}"
    elif needed is not None and not settings.get(needed):
        yield f"{name}.{needed} should not be empty"


def _of_model(model: object, files: Collection[str]) -> Iterator[str]:
    if not isinstance(model, dict) or not model.get("provider") or not model.get("model"):
        yield "model.provider and model.model should not be empty"
        return
    for at, message in enumerate(model.get("messages") or []):
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            yield f"model.messages.{at}.role and content should not be empty"
    tools = model.get("tools") or []
    for at, tool in enumerate(tools):
        yield from (f"model.tools.{at}.{complaint}" for complaint in _of_tool(tool, files))
    names = [tool["function"]["name"] for tool in tools if isinstance(tool, dict) and _has_name(tool)]
    if len(set(names)) != len(names):
        yield "model.tools must not have functions of the same name"


def _has_name(tool: Json) -> bool:
    function = tool.get("function")
    return isinstance(function, dict) and "name" in function


def _of_tool(tool: object, files: Collection[str]) -> Iterator[str]:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if not isinstance(tool, dict) or not isinstance(kind, str) or kind not in {*_TOOL_FIELDS, *_OTHER_TOOLS}:
        yield "type must be one of the following values: function, endCall, query, …"
        return
    known = _TOOL_FIELDS.get(kind)
    yield from (f"property {name} should not exist" for name in tool if known is not None and name not in known)
    if kind == "function":
        yield from _of_function(tool.get("function"))
    if "server" in tool:
        yield from _of_server(tool["server"], "server")
    for base in tool.get("knowledgeBases") or []:
        yield from _of_knowledge(base, files)


def _of_function(function: object) -> Iterator[str]:
    if not isinstance(function, dict):
        yield "function should not be empty"
        return
    if not _FUNCTION_NAME.fullmatch(str(function.get("name", ""))):
        yield "function.name must match /^[a-zA-Z0-9_-]{1,64}$/"
    parameters = function.get("parameters", {"type": "object", "properties": {}})
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        yield "function.parameters.type must be object"
    elif not isinstance(parameters.get("properties"), dict):
        yield "function.parameters.properties must be an object"


def _of_knowledge(base: object, files: Collection[str]) -> Iterator[str]:
    if not isinstance(base, dict) or base.get("provider") != "google":
        yield "knowledgeBases.provider must be one of the following values: google"
        return
    yield from (f"knowledgeBases.property {name} should not exist" for name in base if name not in _KNOWLEDGE_FIELDS)
    yield from (f"knowledgeBases.{name} should not be empty" for name in ("name", "description") if not base.get(name))
    yield from (f"File {file_id} Does Not Exist" for file_id in base.get("fileIds") or [] if file_id not in files)


def _of_server(server: object, path: str) -> Iterator[str]:
    if not isinstance(server, dict):
        yield f"{path} must be an object"
        return
    yield from (f"{path}.property {name} should not exist" for name in server if name not in _SERVER_FIELDS)
    if not str(server.get("url", "https://")).startswith(("https://", "http://")):
        yield f"{path}.url must be a URL address"
    if server.get("timeoutSeconds", _TIMEOUT.start) not in _TIMEOUT:
        yield f"{path}.timeoutSeconds must not be less than 1 or greater than 300"
    headers = server.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        yield f"{path}.headers must be an object of strings"
    if "backoffPlan" in server:
        yield from _of_backoff(server["backoffPlan"], f"{path}.backoffPlan")


def _of_backoff(plan: object, path: str) -> Iterator[str]:
    if not isinstance(plan, dict) or set(plan) - _BACKOFF_FIELDS:
        yield f"{path} must be an object of {', '.join(sorted(_BACKOFF_FIELDS))}"
        return
    if plan.get("type", "fixed") not in ("fixed", "exponential"):
        yield f"{path}.type must be one of the following values: fixed, exponential"
    yield from (
        f"{path}.{name} must not be less than 0 or greater than 10"
        for name in ("maxRetries", "baseDelaySeconds")
        if not 0 <= plan.get(name, 0) <= 10  # noqa: PLR2004 - Vapi's own bounds
    )
