"""Words of the alarm desk in both languages. Pure."""

WORDS: dict[str, dict[str, str]] = {
    "vi": {
        **{"critical": "NGUY CẤP", "major": "nghiêm trọng", "minor": "nhẹ", "warning": "cảnh báo", "info": "thông tin"},
        **{"unacknowledged": "chưa tiếp nhận", "acknowledged": "đã tiếp nhận", "shelved": "tạm gác"},
        **{
            "maintenance": "bảo trì",
            "cleared": "đã kết thúc",
            "planned": "sắp tới",
            "running": "đang làm",
            "over": "đã xong",
        },
        **{"true": "đúng", "false": "sai", "drill": "diễn tập", "verdict": "đánh giá"},
        **{
            "alarm": "số",
            "severity": "mức",
            "state": "trạng thái",
            "age": "từ",
            "raised": "phát sinh",
            "area": "khu vực",
        },
        **{"where": "thiết bị", "message": "nội dung", "by": "người", "at": "lúc", "what": "việc", "note": "ghi chú"},
        **{"member": "thiết bị liên quan", "evidence": "bằng chứng", "history": "quá trình", "value": "giá trị"},
        **{"none": "không có cảnh báo nào", "others": "còn {} nữa; thêm --most", "until": "đến", "since": "từ lúc"},
        **{"cleared_at": "kết thúc", "shelved_until": "gác đến", "last": "lần cuối", "occurrences": "số lần"},
        **{
            "members": "số thiết bị",
            "family": "nhóm",
            "kind": "loại",
            "rule": "quy tắc",
            "key": "khóa",
            "reason": "lý do",
        },
        **{
            "device": "mã thiết bị",
            "name": "tên thiết bị",
            "score": "điểm (0–1)",
            "distance": "cách (m)",
            "after": "sau (s)",
        },
        **{"maintenance_until": "bảo trì đến", "members_now": "hiện còn", "cleared_by": "người kết thúc"},
    },
    "en": {
        **{
            "critical": "CRITICAL",
            "where": "device",
            "cleared_at": "cleared",
            "by": "by",
            "member": "devices concerned",
        },
        **{"none": "no alarms", "others": "{} more; add --most", "shelved_until": "shelved until"},
        **{"score": "score (0–1)", "distance": "distance (m)", "after": "after (s)", "device": "device id"},
        **{"maintenance_until": "maintenance until", "members_now": "of them now", "cleared_by": "cleared by"},
    },
}


def word(lang: str, name: str) -> str:
    """A word in a language; in English most are what they are called here."""
    return WORDS[lang].get(name, name)


def age(seconds: float) -> str:
    """How long, in the two largest units.

    >>> age(42), age(3725), age(200000), age(-3)
    ('42 s', '1 h 02 min', '2 d 07 h', '0 s')
    """
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02} h"
