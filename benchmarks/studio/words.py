"""The words that the measured conversations are made of."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ENGLISH = _words("""
    the of to and a in is for that it with as on be by this are or an from at not can which when
    will if we one has all more there use time its new model value list data should each then
    line set function error file state case way test message number call between request change
    order server result page read write first answer example memory token table name same only
    without before after where while every because however process queue index question reply
    search word history branch window limit schedule cache layer weight gradient sample batch
    sequence attention probability distribution temperature parameter vector matrix evaluation
""")
"""Most frequent first."""

JAPANESE = _words("""
    設定 確認 実行 結果 場合 方法 処理 問題 利用 情報 必要 変更 入力 出力 画面 会話 検索 保存
    時間 言語 学習 推論 評価 計算 確率 分布 温度 行列 重み 勾配 文章 単語 返答 質問 履歴 記録
    接続 削除 追加 更新 モデル トークン サーバー データ ファイル エラー メモリー キャッシュ
    テスト ページ リスト キュー
""")
"""Most frequent first."""

SENTENCES = (
    "{0}の{1}を{2}すると、{3}が{4}に変わります。",
    "まず{0}を{1}し、そのあとで{2}と{3}を見比べてください。",
    "{0}では{1}よりも{2}のほうが{3}に向いています。",
    "この{0}は{1}ごとに{2}されるため、{3}は{4}から始まります。",
    "なお、{0}が{1}のときは{2}を待たずに{3}へ進みます。",
)

KANA = "かきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろ"
KANJI = (
    "一二三四五六七八九十百千万年月日時分秒人口手足目耳力大小中高低長短新古多少早遅上下左右前後内外"
    "東西南北国家市町村山川海空天地水火木金土石花草林森田道車船駅店室門戸窓糸紙本字文語数理科学社会"
    "音楽色形光風雨雪雲星春夏秋冬朝昼夜白黒赤青"
)
"""Of pairs of these the many words are made that stand in a few messages each."""

SYLLABLES = _words("""
    ba be bi bo bu da de di do du fa fe fi fo ga ge gi go ka ke ki ko la le li lo lu ma me mi mo
    mu na ne ni no pa pe pi po ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo za ze zo
""")

RARE_JAPANESE = _words("""
    鸚鵡 蒟蒻 麒麟 躊躇 葡萄 薔薇 檸檬 林檎 蝙蝠 蜻蛉 箪笥 絨毯 琥珀 珊瑚 翡翠 瑠璃 蜃気 饅頭
""")
RARE_ENGLISH = _words("""
    quokka zephyr obsidian wyvern juxtapose kumquat fjordland xylophone hummock quixotic yarrow
    whelk jackdaw oxbow vexillum quagmire wharf yoke
""")
APART = ("sunrise", "sunset")
"""Each stands in many messages, both together in none."""

NOWHERE = ("鰻重", "鱚鮨", "蠍座", "xylographic", "quizzaciously", "jowlwhiskers")
